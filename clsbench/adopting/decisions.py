"""What a foreign file's preprocessing is taken to be, and on whose word: asked for, found or guessed."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

from clsbench.adopting.descriptions import Description
from clsbench.errors import ModelError
from clsbench.transform import IMAGENET_MEAN, IMAGENET_STD, ImageTransform, TransformValue

How = Literal["asked", "found", "guessed"]

#: What most image classifiers do, for what nobody says.
USUAL: Mapping[str, TransformValue] = {
    "size": (224, 224),
    "resize": "crop",
    "crop_fraction": 0.875,
    "interpolation": "bilinear",
    "color": "RGB",
    "mean": IMAGENET_MEAN,
    "std": IMAGENET_STD,
}

#: Fields that no guess is needed for: with what nobody says, they stay as :class:`ImageTransform` has them.
_QUIET = tuple(field for field in ImageTransform.__dataclass_fields__ if field not in USUAL)


@dataclass(frozen=True)
class Decision:
    """One field of the card.

    Args:
        field: Its name.
        value: What it is.
        how: Whether it was asked for, found or guessed.
        origin: Where: an option, the graph, a file; of a guess the reason.
    """

    field: str
    value: Any
    how: How
    origin: str

    @property
    def text(self) -> str:
        """The value for people."""
        if self.field == "size":
            return "{}×{}".format(*self.value)
        if isinstance(self.value, tuple):
            return ", ".join(f"{number:.6g}" for number in self.value)
        return f"{self.value:.6g}" if isinstance(self.value, float) else str(self.value)

    def to_json(self) -> dict[str, object]:
        """Plain values."""
        value = list(self.value) if isinstance(self.value, tuple) else self.value
        return {"field": self.field, "value": value, "how": self.how, "origin": self.origin}


#: Fields that one source states, and that source.
Statement = tuple[str, Mapping[str, TransformValue]]


def decide(
    asked: Sequence[Statement],
    graph: Statement,
    described: Sequence[Description],
    guesses: Mapping[str, tuple[Any, str]],
) -> tuple[Decision, ...]:
    """Decide each field of an :class:`~clsbench.transform.ImageTransform`.

    Args:
        asked: What the user said, by option; it counts before everything else.
        graph: What follows from the graph.
        described: What others wrote; must agree with each other where the user said nothing.
        guesses: Field -> a better guess than the usual one, and its reason.

    Raises:
        ModelError: if two sources contradict each other.
    """
    made = []
    for field in (*USUAL, *_QUIET):
        found = [graph, *((each.origin, each.transform) for each in described)]
        said = [(origin, values[field]) for origin, values in found if field in values]
        wanted = [(origin, values[field]) for origin, values in asked if field in values]
        if field == "color" and field in graph[1]:  # a transform as a whole is for networks of all colours
            wanted = [(origin, value) for origin, value in wanted if origin == "--channels"]
        if wanted:
            _agree(field, [*wanted, *([(graph[0], graph[1][field])] if field in graph[1] else [])])
            made.append(Decision(field, wanted[0][1], "asked", wanted[0][0]))
        elif said:
            _agree(field, said)
            made.append(Decision(field, said[0][1], "found", said[0][0]))
        elif field not in _QUIET and not _needless(field, made):
            value, reason = guesses.get(field, (USUAL[field], "the usual value"))
            made.append(Decision(field, value, "guessed", reason))
    return tuple(made)


def transform_of(decisions: Sequence[Decision]) -> ImageTransform:
    """The transform that was decided on."""
    known = ImageTransform.__dataclass_fields__
    return ImageTransform.of({each.field: each.value for each in decisions if each.field in known})


def refuse_inexpressible(described: Sequence[Description], decisions: Sequence[Decision], file: Path) -> None:
    """Refuse a preprocessing that is described and that no transform can express.

    Raises:
        ModelError: with what it asks for.
    """
    used = {each.origin for each in decisions if each.how == "found"}
    for each in described:
        if each.refused and each.origin in used:
            raise ModelError(
                "the preprocessing of the model cannot be expressed, and nothing is approximated", where=file,
                got=f"{each.origin}: {'; '.join(each.refused)}",
                hint="if other preprocessing is right for it all the same, state all of it: --transform FILE",
                code="CB-M004",
            )  # fmt: skip


def _agree(field: str, said: Sequence[tuple[str, Any]]) -> None:
    first, value = said[0]
    for origin, other in said[1:]:
        if not _same(value, other):
            raise ModelError(
                f"two sources contradict each other about the {field.replace('_', ' ')}",
                got=f"{first}: {value}; {origin}: {other}",
                hint=f"say which is right: --{field.replace('_', '-')}" if not first.startswith("--") else None,
                code="CB-M005",
            )  # fmt: skip


def _same(one: Any, other: Any) -> bool:
    if isinstance(one, tuple) and isinstance(other, tuple):
        return len(one) == len(other) and all(map(_same, one, other))
    if isinstance(one, float) or isinstance(other, float):
        return abs(float(one) - float(other)) < 1e-4
    return bool(one == other)


def _needless(field: str, made: Sequence[Decision]) -> bool:
    """Whether the field has no meaning: only crops keep a part of the image."""
    return field == "crop_fraction" and any(one.field == "resize" and "crop" not in one.value for one in made)
