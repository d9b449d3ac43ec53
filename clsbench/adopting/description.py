"""Description: what others wrote about a model's preprocessing and classes, and the checks of what they wrote.

All of it is a stranger's: a value of the wrong type or out of range becomes a sentence, and none is interpreted.
"""

from __future__ import annotations

import math
import reprlib
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from clsbench.card import check_class_names
from clsbench.errors import ModelError
from clsbench.text import counted, some
from clsbench.transform import ImageTransform, TransformValue

Triple = tuple[float, float, float]

#: More classes than any classifier has; ImageNet-21k has 21,841.
MAX_CLASSES = 1_000_000


@dataclass(frozen=True, kw_only=True)
class Description:
    """What others wrote about a model.

    Args:
        origin: Where it stands, for people: ``config.json (timm)``.
        transform: The fields of :class:`clsbench.transform.ImageTransform` that it states, and only those; each valid.
        classes: Unique names; position k names output k. None if it states none that can be used.
        refused: What it asks for that an ImageTransform cannot express or that is not known here, each a sentence.
        noted: What is not exactly as it is there, or was left out, each a sentence.
    """

    origin: str
    transform: Mapping[str, TransformValue]
    classes: tuple[str, ...] | None = None
    refused: tuple[str, ...] = ()
    noted: tuple[str, ...] = ()

    @property
    def states_something(self) -> bool:
        """Whether there is anything in it."""
        return bool(self.transform or self.classes or self.refused)


class Draft:
    """A description in the making.

    Args:
        origin: As in :class:`Description`.
    """

    def __init__(self, origin: str) -> None:
        self.origin = origin
        self.transform: dict[str, TransformValue] = {}
        self.classes: tuple[str, ...] | None = None
        self.refused: list[str] = []
        self.noted: list[str] = []

    def refuse(self, sentence: str) -> None:
        """Add to what cannot be expressed."""
        self.refused.append(sentence)

    def refuse_value(self, name: str, value: object, expected: str) -> None:
        """Refuse a value as it is written there."""
        self.refuse(f"{name} is {shown(value)}; known here: {expected}")

    def choose(self, field: str, name: str, value: object, known: Mapping[Any, Any]) -> None:
        """State a field by a table of the values known here; refuse any other.

        Args:
            field: Of the transform.
            name: What the value is called there.
            value: What stands there.
            known: Their values -> ours.
        """
        if isinstance(value, str | int) and not isinstance(value, bool) and value in known:
            self.transform[field] = known[value]
        else:
            self.refuse_value(name, value, ", ".join(str(k) for k in known))

    def name_classes(self, value: object, name: str) -> None:
        """State the classes; a note says why where they cannot be used.

        Args:
            value: A list of names, or an object that maps positions to names or names to positions.
            name: What it is called there.
        """
        names = listed_names(value)
        if names is None:
            self.noted.append(f"{name} is no list of class names: {shown(value)}")
            return
        distinct = distinct_classes(names)
        if distinct != names:
            repeated = [text for text, times in Counter(names).items() if times > 1]
            self.noted.append(
                f"classes of the same name got their position: {some([shown(text) for text in repeated])}"
            )
        try:
            check_class_names(distinct)
        except ModelError as error:
            self.noted.append(f"{name} cannot be used as class names: {error.one_line()}")
            return
        self.classes = distinct

    def finish(self) -> Description:
        """The description; values out of range are refused."""
        for field, value in list(self.transform.items()):
            try:
                ImageTransform.of({"size": (1, 1), field: value})
            except ModelError as error:
                del self.transform[field]
                self.refuse(f"{field} is {shown(value)}; expected: {error.facts['expected']}")
        return Description(
            origin=self.origin, transform=self.transform, classes=self.classes,
            refused=tuple(self.refused), noted=tuple(self.noted),
        )  # fmt: skip


def shown(value: object) -> str:
    """A stranger's value, short and on one line."""
    return ascii(value) if isinstance(value, str) and len(value) < 60 else reprlib.repr(value)


def number(value: object) -> float | None:
    """A finite number, or None."""
    if isinstance(value, bool) or not isinstance(value, int | float) or abs(value) > 1e9:
        return None
    return float(value) if math.isfinite(value) else None


def side(value: object) -> int | None:
    """A side of an image in pixels, or None."""
    whole = number(value)
    return int(whole) if whole is not None and whole == int(whole) and 0 < whole <= 100_000 else None


def part(value: object) -> float | None:
    """The part of an image's sides that a crop keeps, or None; less than a hundredth of them is no crop."""
    fraction = number(value)
    return fraction if fraction is not None and 0.01 <= fraction <= 1 else None


def triple(value: object) -> Triple | None:
    """Three numbers, or one that stands for all; None if it is neither."""
    values = value if isinstance(value, list | tuple) else [value]
    numbers = [number(v) for v in values[:4]]
    found = [n for n in numbers if n is not None]
    if len(found) != len(values) or len(found) not in (1, 3):
        return None
    return (found[0], found[0], found[0]) if len(found) == 1 else (found[0], found[1], found[2])


def normalisation(mean: Triple, std: Triple, *, factor: float, offset: float = 0.0) -> tuple[Triple, Triple]:
    """Mean and std in units of 1 = full intensity, of (level × factor - offset - mean) / std.

    >>> normalisation((0.5, 0.5, 0.5), (0.5, 0.5, 0.5), factor=1 / 255)[0]
    (0.5, 0.5, 0.5)
    >>> normalisation((0.0, 0.0, 0.0), (1.0, 1.0, 1.0), factor=1 / 127.5, offset=1)
    ((0.5, 0.5, 0.5), (0.5, 0.5, 0.5))
    """
    full = 255 * factor  # what full intensity is there
    if abs(full - round(full)) < 1e-9:  # 1 / 255 is not exact
        full = round(full) or full
    return tuple((m + offset) / full for m in mean), tuple(s / full for s in std)  # type: ignore[return-value]


def listed_names(value: object) -> tuple[str, ...] | None:
    """Names by position, of a list, of an object from positions to names, or of one from names to positions.

    None if it is none of these, or positions are missing. Of a list in place of a name the last is taken, as in Keras's
    ``imagenet_class_index.json``.
    """
    if isinstance(value, Mapping) and 0 < len(value) <= MAX_CLASSES:
        if all(type(position) is int for position in value.values()):
            value = {str(position): name for name, position in value.items()}
        by_position = {str(position): name for position, name in value.items()}
        value = [by_position.get(str(k)) for k in range(len(value))]
    if not isinstance(value, list | tuple) or not 0 < len(value) <= MAX_CLASSES:
        return None
    last = [name[-1] if isinstance(name, list | tuple) and name else name for name in value]  # [synset, name]
    names = [name.strip() for name in last if isinstance(name, str)]
    return tuple(names) if len(names) == len(value) else None


def distinct_classes(names: Sequence[str]) -> tuple[str, ...]:
    """The names, with its position after each that stands more than once: ImageNet has two cranes.

    >>> distinct_classes(["crane", "maillot", "crane"])
    ('crane (0)', 'maillot', 'crane (2)')
    """
    times = Counter(names)
    return tuple(f"{name} ({k})" if name and times[name] > 1 else name for k, name in enumerate(names))


def count_of(names: Sequence[str]) -> str:
    """How many classes there are, for sentences."""
    return counted(len(names), "class")
