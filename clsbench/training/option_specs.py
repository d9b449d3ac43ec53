"""What an option of training is beside its name: its texts, the values allowed, what a user gives for it.

Imports neither torch nor numpy.
"""

from __future__ import annotations

import math
import typing
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Literal, get_args

from clsbench.errors import OptionError
from clsbench.json_fields import Scalar
from clsbench.models.heads import parse_head
from clsbench.training.tracker_names import parse_trackers

#: The headings of the command line that options stand under.
MODEL, RATE, LOSS, RUN = "Network and recipe", "Learning rate and optimizer", "Augmentation and loss", "Run"


@dataclass(frozen=True)
class TrainOption:
    """An option as a user gives it: a field of :class:`TrainConfig`, or a text for it.

    Args:
        name: The field.
        type: The annotation of what a user gives.
        default: None where the recipe decides.
        help: A whole phrase.
        panel: The heading it belongs under.
        metavar: A word for the value, where the type says too little.
    """

    name: str
    type: object
    default: Scalar
    help: str
    panel: str
    metavar: str | None

    @property
    def flag(self) -> str:
        """The option of the command line."""
        return flag(self.name)


@dataclass(frozen=True, kw_only=True)
class OptionSpec:
    """What a field's annotation does not say: texts, the values allowed, and what a user gives instead."""

    help: str
    panel: str
    metavar: str | None = None
    least: float | None = None
    above: float | None = None
    most: float = math.inf
    below: float = math.inf
    by_recipe: bool = False
    given: object = None
    given_default: Scalar = None

    def check(self, name: str, value: Scalar, kind: object) -> None:
        """Refuse a value out of range, or none of the choices."""
        choices = get_args(kind) if typing.get_origin(kind) is Literal else ()
        if choices and value not in choices:
            raise OptionError(f"unknown {name}", where=flag(name), got=value, expected=", ".join(choices))
        if name == "head":
            parse_head(str(value))
        if name == "track":
            parse_trackers(str(value))
        lowest = self.least if self.above is None else self.above
        if lowest is None or not isinstance(value, int | float):
            return
        if not (lowest <= value <= self.most and value < self.below) or value == self.above:
            expected = f"above {lowest:g}" if self.above is not None else f"at least {lowest:g}"
            expected += f", at most {self.most:.10g}" if self.most < math.inf else ""
            expected += f", below {self.below:g}" if self.below < math.inf else ""
            if not math.isfinite(value):
                expected = "a finite number"
            raise OptionError(f"{name} is out of range", where=flag(name), got=value, expected=expected)


def option_spec(help: str, panel: str, **more: Any) -> Mapping[str, OptionSpec]:
    """The metadata of a field."""
    return {"spec": OptionSpec(help=help, panel=panel, **more)}


def flag(name: str) -> str:
    """The option of the command line for a field."""
    return f"--{name.replace('_', '-')}"
