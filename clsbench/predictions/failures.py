"""Failures: the images without a prediction, by reason."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass

from clsbench.errors import REASONS
from clsbench.predictions.block import Predictions
from clsbench.predictions.manifest import Json

#: Examples that are kept of each reason.
EXAMPLES = 3


@dataclass
class Failure:
    """The images that were not classified for one reason.

    Args:
        count: How many.
        examples: The first of them: name and message.
    """

    count: int
    examples: list[tuple[str, str]]


class Failures(Mapping[str, Failure]):
    """Code of :data:`clsbench.errors.REASONS` -> its images, the most frequent reason first."""

    def __init__(self) -> None:
        self._found: dict[str, Failure] = {}

    def __getitem__(self, reason: str) -> Failure:
        return self._found[reason]

    def __iter__(self) -> Iterator[str]:
        return iter(sorted(self._found, key=lambda reason: -self._found[reason].count))

    def __len__(self) -> int:
        return len(self._found)

    def add(self, block: Predictions) -> int:
        """Count a block's; returns how many there are in it."""
        if block.ok.all():
            return 0
        wrong = 0
        for name, error, reason in zip(block.names, block.errors, block.reasons, strict=True):
            if error is None:
                continue
            wrong += 1
            found = self._found.setdefault(reason or "unreadable", Failure(0, []))
            found.count += 1
            if len(found.examples) < EXAMPLES:
                found.examples.append((name, error))
        return wrong

    def join(self, others: Failures) -> None:
        """Count those of other images too, which come after these."""
        for reason, other in others.items():
            found = self._found.setdefault(reason, Failure(0, []))
            found.count += other.count
            found.examples = [*found.examples, *other.examples][:EXAMPLES]

    @classmethod
    def from_json(cls, values: Mapping[str, Json]) -> Failures:
        """The inverse of :meth:`to_json`, of a manifest that may be damaged: what is none is passed over."""
        failures = cls()
        for reason, value in values.items():
            match value:
                case {"count": int(count), "examples": [*examples]}:
                    told = [(str(one.get("path")), str(one.get("error"))) for one in examples if isinstance(one, dict)]
                    failures._found[reason] = Failure(count, told)
        return failures

    def to_json(self) -> dict[str, Json]:
        """Reason -> count, meaning and examples."""
        return {
            reason: {
                "count": self[reason].count,
                "meaning": REASONS.get(reason, ""),
                "examples": [{"path": name, "error": error} for name, error in self[reason].examples],
            }
            for reason in self
        }
