"""What metrics give: typed values, each with its JSON, a stated reason where there is none, and proportions."""

from __future__ import annotations

import math
from dataclasses import dataclass, fields
from statistics import NormalDist
from typing import Any, Generic, TypeVar

T = TypeVar("T")


@dataclass(frozen=True)
class Value:
    """Base of frozen dataclasses whose JSON is their fields, in order."""

    def to_json(self) -> Any:
        """Plain values for JSON."""
        return {item.name: json_of(getattr(self, item.name)) for item in fields(self)}


@dataclass(frozen=True)
class Rows(Value, Generic[T]):
    """Base of values whose JSON is a list."""

    rows: tuple[T, ...]

    def to_json(self) -> Any:
        """A list of the rows."""
        return [json_of(row) for row in self.rows]


@dataclass(frozen=True)
class Absent(Value):
    """A value that could not be computed, never NaN, and why, as the end of "Not available: …".

    >>> Absent("the file has no confidences").to_json()
    {'reason': 'the file has no confidences'}
    """

    reason: str


def json_of(value: object) -> Any:
    """A value of a metric as JSON: typed values by their ``to_json``, also inside lists and dicts.

    >>> json_of({"half": Absent("no images"), "counts": (1, 2)})
    {'half': {'reason': 'no images'}, 'counts': [1, 2]}
    """
    if isinstance(value, Value):
        return value.to_json()
    if isinstance(value, list | tuple):
        return [json_of(item) for item in value]
    if isinstance(value, dict):
        return {key: json_of(item) for key, item in value.items()}
    return value


@dataclass(frozen=True)
class Proportion(Value):
    """A fraction of images, the ends of its 95 % interval, and the two counts."""

    value: float
    low: float
    high: float
    correct: int
    total: int

    @classmethod
    def of(cls, correct: int, total: int) -> Proportion:
        """With the Wilson interval; ``total`` is at least 1.

        >>> Proportion.of(95, 100).value
        0.95
        """
        return cls(correct / total, *wilson(correct, total), correct, total)


def wilson(successes: int, total: int, *, confidence: float = 0.95) -> tuple[float, float]:
    """The Wilson score interval of a proportion.

    Source: E. B. Wilson, Probable inference, JASA 22 (1927). scipy has it too, but
    importing scipy.stats takes longer than many a run.

    Args:
        successes: 0 to ``total``.
        total: Trials; with none the interval is (0, 1).
        confidence: Two-sided.

    >>> [round(bound, 4) for bound in wilson(95, 100)]
    [0.8882, 0.9785]
    """
    if total == 0:
        return 0.0, 1.0
    z = NormalDist().inv_cdf(0.5 + confidence / 2)
    p = successes / total
    centre = p + z * z / (2 * total)
    half = z * math.sqrt(p * (1 - p) / total + z * z / (4 * total * total))
    scale = 1 + z * z / total
    low, high = (centre - half) / scale, (centre + half) / scale
    return (0.0 if successes == 0 else low), (1.0 if successes == total else high)
