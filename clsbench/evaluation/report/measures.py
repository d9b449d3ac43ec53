"""What the metrics declare to be shown: proportions, averages, scores and tables."""

from __future__ import annotations

from dataclasses import dataclass

from clsbench.evaluation.judging import Evaluation
from clsbench.evaluation.metrics.per_class import Averages
from clsbench.evaluation.report.formats import name
from clsbench.predictions.metric import Display
from clsbench.predictions.values import Absent, Proportion

#: Rows of a declared table that the page holds.
ROWS = 1000


@dataclass(frozen=True)
class Score:
    """One measure.

    Args:
        name: For people.
        text: Its value as written; None where it is not there.
        reason: Why it is not there.
        meaning: In a few words.
    """

    name: str
    text: str | None
    reason: str | None
    meaning: str


@dataclass(frozen=True)
class DeclaredTable:
    """A table of a metric that has no section of its own.

    Args:
        title: Above it.
        meaning: In a few words.
        reason: Why it is not there; None where it is.
        columns: Their titles, and whether they hold text.
        rows: One text a column.
        left_out: Rows that are not among them.
    """

    title: str
    meaning: str
    reason: str | None
    columns: tuple[tuple[str, bool], ...]
    rows: tuple[tuple[str, ...], ...]
    left_out: int


def scores(evaluation: Evaluation) -> list[Score]:
    """The declared scores, and then the values that no metric declares."""
    shown = evaluation.metrics.shown
    return [_score(display) for display in (*shown("report", "score"), *shown("report", "other"))]


def accuracies(evaluation: Evaluation) -> list[tuple[str, Proportion | Absent]]:
    """Name and value of the declared proportions."""
    found = [(display.title, display.value) for display in evaluation.metrics.shown("report", "proportion")]
    return [(name(title), value) for title, value in found if isinstance(value, Proportion | Absent)]


def means(evaluation: Evaluation) -> list[tuple[str, str, Averages]]:
    """Name, meaning and value of the declared averages over the classes."""
    found = evaluation.metrics.shown("report", "section")
    return [(item.title, item.shown.meaning, item.value) for item in found if isinstance(item.value, Averages)]


def tables(evaluation: Evaluation) -> list[DeclaredTable]:
    """The declared tables."""
    return [
        DeclaredTable(
            name(display.title),
            display.shown.meaning,
            display.value.reason if isinstance(display.value, Absent) else None,
            tuple((name(column.title), column.width > 0) for column in display.shown.columns),
            tuple(tuple(map(name, row)) for row in display.rows[:ROWS]),
            max(0, len(display.rows) - ROWS),
        )
        for display in evaluation.metrics.shown("report", "table")
    ]


def _score(display: Display) -> Score:
    reason = "more than one number: see evaluate --json" if display.text is None else None
    if isinstance(display.value, Absent):
        reason = display.value.reason
    return Score(name(display.title), display.text and name(display.text), reason, display.shown.meaning)
