"""Metrics: what they measure, how they say a value is shown, and running them, once for ``infer`` and ``evaluate``."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field, fields
from typing import Any, Literal, Protocol, TypeVar

from clsbench.errors import PluginError
from clsbench.guard import using
from clsbench.predictions.outcomes import Outcomes
from clsbench.predictions.values import Absent, Proportion, Value, json_of
from clsbench.text import formatted

#: Where a value can be shown: the tables of ``infer``, those of ``evaluate``, and the HTML report.
PLACES = ("infer", "evaluate", "report")
TERMINAL, REPORT = PLACES[:2], PLACES[2:]

#: Rows in the terminal of a table whose first rows matter most.
FEW = 5

#: Why a value that needs more than the best class is absent.
NO_PROBABILITIES = Absent("needs the probabilities of all classes: infer with --probabilities")
NO_NAMES = Absent("needs the names of the images")

T = TypeVar("T")

Cell = str | int | float | None
Row = Sequence[Cell] | Mapping[str, Cell] | Value


class Metric(Protocol):
    """What ``register_metrics`` builds: outcomes to values by name.

    A value is a :class:`clsbench.predictions.values.Value` or whatever JSON can hold. A metric may have an
    attribute ``shown``, :class:`Shown` values that say how its own are shown (see :class:`ShownMetric`);
    without, they are listed under "Other metrics".
    """

    def __call__(self, outcomes: Outcomes, /) -> Mapping[str, object]:
        """Measure."""


@dataclass(frozen=True)
class Column:
    """A column of a table.

    Args:
        title: Above it.
        format: Of numbers, as for :func:`format`.
        width: Of a column of text, the characters at which a terminal shortens it; 0 for numbers.
        path: Whether the text is the path of a file, whose own name is never cut.

    >>> Column("share", ".2%").text(0.5), Column("share").text(None)
    ('50.00%', '-')
    """

    title: str
    format: str = ""
    width: int = 0
    path: bool = False

    def text(self, cell: Cell) -> str:
        """A cell as written."""
        if cell is None:
            return "-"
        return cell if isinstance(cell, str) else formatted(cell, self.format)


@dataclass(frozen=True)
class Shown:
    """How a value of a metric is shown in the terminal and in the HTML report.

    Args:
        key: Of the value.
        kind: A ``proportion`` is a row of the accuracy table, a ``score`` a row of the summary, a ``table`` a
            table of its own; a ``section`` is shown by a section that the report has for it.
        title: For people.
        meaning: One line about it, for the report.
        format: Of a score: as for :func:`format`, or a function of the value.
        columns: Of a table.
        rows: Of a table: the rows of a value, one cell a column (or a dict or typed value with as many entries);
            by default the value is the rows.
        heading: Of a table: its title from its value, where that says more than ``title``.
        total: Of a table whose first rows matter most: how many there are of a value. The terminal shows
            :data:`FEW` of them, or as many as ``--top`` says.
        places: Some of :data:`PLACES`. A key may be declared twice for different places.
    """

    key: str
    kind: Literal["proportion", "score", "table", "section", "other"]
    title: str
    meaning: str = ""
    format: str | Callable[[Any], str] = ".4g"
    columns: tuple[Column, ...] = ()
    rows: Callable[[Any], Iterable[Row]] = iter
    heading: Callable[[Any], str] | None = None
    total: Callable[[Any], int] | None = None
    places: tuple[str, ...] = PLACES


@dataclass(frozen=True)
class ShownMetric:
    """A metric together with how its values are shown.

    >>> measure = lambda outcomes: {"mean_confidence": float(outcomes.confidence.mean())}
    >>> metric = ShownMetric(measure, (Shown("mean_confidence", "score", "Mean confidence", format=".2%"),))
    """

    measure: Callable[[Outcomes], Mapping[str, object]]
    shown: tuple[Shown, ...]

    def __call__(self, outcomes: Outcomes, /) -> Mapping[str, object]:
        """Measure."""
        return self.measure(outcomes)


@dataclass(frozen=True)
class Display:
    """A value ready to be shown.

    Args:
        shown: How; of kind ``other`` where the metric declares nothing.
        value: As the metric gave it; where that has the shape of a proportion, a :class:`Proportion`.
        title: For people.
        text: Of a score or another single value, as written; None for others.
        rows: Of a table, one text a column.
        total: Of a table whose first rows matter most, how many rows there are; else None.
    """

    shown: Shown
    value: object
    title: str
    text: str | None = None
    rows: tuple[tuple[str, ...], ...] = ()
    total: int | None = None


@dataclass(frozen=True)
class Metrics:
    """What metrics gave.

    Args:
        values: By key, in the order of the metrics.
        errors: Name of a metric that failed -> reason.
        displays: The values as they are shown, in the order of the metrics and their declarations.
        owners: Key -> name of the metric that declares it, whether or not it succeeded.
    """

    values: Mapping[str, object] = field(default_factory=dict)
    errors: Mapping[str, str] = field(default_factory=dict)
    displays: tuple[Display, ...] = ()
    owners: Mapping[str, str] = field(default_factory=dict)

    def find(self, key: str, kind: type[T]) -> T | Absent:
        """A value of a type, or why it is not there.

        >>> Metrics({"ece": Absent("no confidences")}).find("ece", float)
        Absent(reason='no confidences')
        >>> Metrics().find("ece", float).reason
        'no metric gave ece'
        """
        value, owner = self.values.get(key), self.owners.get(key, "")
        if isinstance(value, (kind, Absent)):
            return value
        if key in self.values:
            return Absent(f"{key} is of type {type(value).__name__}, not {kind.__name__}")
        if owner in self.errors:
            return Absent(f"the metric {owner} failed: {self.errors[owner]}")
        return Absent(f"no metric gave {key}")

    def shown(self, place: str, kind: str) -> list[Display]:
        """What is shown somewhere, of a kind."""
        return [display for display in self.displays if place in display.shown.places and display.shown.kind == kind]

    def to_json(self) -> Any:
        """The value of ``metrics`` in the facts."""
        return json_of(dict(self.values))


def run_metrics(outcomes: Outcomes | None, metrics: Iterable[tuple[str, Metric]]) -> Metrics:
    """Run metrics one after the other.

    A metric that fails costs its own values only; so does one whose values are not JSON or not what it
    declares. A key that an earlier metric gave keeps its value. ``SystemExit`` and the like are not caught.

    Args:
        outcomes: To judge; None where there are none, which gives no values.
        metrics: Name and metric, in order.
    """
    values: dict[str, object] = {}
    errors: dict[str, str] = {}
    displays: list[Display] = []
    owners: dict[str, str] = {}
    if outcomes is None:
        return Metrics()
    for name, metric in metrics:
        try:
            with using(metric):
                shown: tuple[Shown, ...] = tuple(getattr(metric, "shown", ()))
                for item in shown:
                    owners.setdefault(item.key, name)
                found = dict(metric(outcomes))
                _check(found)
                made = [_display(item, found[item.key]) for item in shown if item.key in found]
                made += [_undeclared(key, value) for key, value in found.items() if key not in owners]
        except Exception as error:  # noqa: BLE001  a plugin's metric must not lose the others
            errors[name] = _reason(error)
            continue
        taken = sorted(key for key in found if key in values and json_of(values[key]) != json_of(found[key]))
        if taken:
            errors[name] = f"gives {', '.join(taken)}, which another metric has given already"
        displays += [display for display in made
                     if (key := display.shown.key) not in values and owners.get(key, name) == name]  # fmt: skip
        values |= {key: value for key, value in found.items() if key not in values}
    return Metrics(values, errors, tuple(displays), owners)


def _check(found: Mapping[str, object]) -> None:
    """Refuse what JSON cannot hold."""
    if wrong := [key for key in found if not isinstance(key, str)]:
        raise TypeError(f"the name of a value is not a text: {wrong[0]!r}")
    json.dumps(json_of(found), allow_nan=False)


def _reason(error: Exception) -> str:
    """In one line. A guarded plugin's exit or lack of memory is not a failed metric."""
    cause = error.__cause__ if isinstance(error, PluginError) and error.__cause__ else error
    if not isinstance(cause, Exception) or (cause is not error and isinstance(cause, MemoryError)):
        raise error
    return f"{type(cause).__name__}: {cause}"


def _display(shown: Shown, value: object) -> Display:
    """A declared value.

    Raises:
        TypeError: if the value is not of the kind that is declared.
    """
    if isinstance(value, Absent) or shown.kind == "section":
        return Display(shown, value, shown.title)
    if shown.kind == "proportion":
        proportion = _proportion(value)
        if proportion is None:
            raise TypeError(f"{shown.key} is declared as a proportion and is none")
        return Display(shown, proportion, shown.title)
    if shown.kind == "score":
        text = shown.format(value) if callable(shown.format) else _score(value, shown.format)
        return Display(shown, value, shown.title, text)
    cells = [zip(shown.columns, _cells(row), strict=True) for row in shown.rows(value)]
    rows = tuple(tuple(column.text(cell) for column, cell in row) for row in cells)
    total = shown.total(value) if shown.total else None
    return Display(shown, value, shown.heading(value) if shown.heading else shown.title, rows=rows, total=total)


def _score(value: Any, spec: str) -> str:
    return formatted(value, spec) if isinstance(value, int | float) else format(value, spec)


def _cells(row: Row) -> Iterable[Cell]:
    if isinstance(row, Value):
        return [getattr(row, item.name) for item in fields(row)]
    return row.values() if isinstance(row, Mapping) else row


def _undeclared(key: str, value: object) -> Display:
    """A value that its metric declares nothing about."""
    if (proportion := _proportion(value)) is not None:
        return Display(Shown(key, "proportion", key), proportion, key)
    text = str(value) if isinstance(value, str | bool) else None
    if text is None and isinstance(value, int | float):
        text = formatted(value, ".4g")
    return Display(Shown(key, "other", key, "from a plugin"), value, key, text)


def _proportion(value: object) -> Proportion | None:
    """A proportion, or a dict of its shape, as one."""
    names = ("value", "low", "high", "correct", "total")
    if isinstance(value, Mapping) and all(
        isinstance(value.get(name), int | float) and not isinstance(value[name], bool) for name in names
    ):
        return Proportion(*(value[name] for name in names))
    return value if isinstance(value, Proportion) else None
