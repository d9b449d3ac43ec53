"""The tables of metrics in the terminal, as the metrics declare them, in 80 columns."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from clsbench.cli.tables import facts_table, percent, table
from clsbench.cli.terminal import Terminal
from clsbench.evaluation.judging import Evaluation
from clsbench.predictions.metric import Display, Metrics
from clsbench.predictions.values import Absent, Proportion
from clsbench.text import shortened

#: Rows of a declared table.
SHOWN = 30


def print_evaluation(terminal: Terminal, evaluation: Evaluation) -> None:
    """Print what ``evaluate --json`` holds, for people."""
    print_metrics(terminal, evaluation.metrics, "evaluate")


def print_metrics(terminal: Terminal, metrics: Metrics, place: str) -> None:
    """Print values of metrics.

    Args:
        terminal: To print to.
        metrics: To print.
        place: ``infer`` or ``evaluate``.
    """
    if accuracy := metrics.shown(place, "proportion"):
        rows = [_proportion(display) for display in accuracy]
        terminal.print(table("Accuracy", ("", "value", "95 % interval", "correct"), rows))
    if scores := metrics.shown(place, "score"):
        terminal.print(facts_table("Summary", [(display.title, _text(display)) for display in scores]))
    for display in metrics.shown(place, "table"):
        if isinstance(display.value, Absent):
            terminal.print(facts_table(display.title, [("", display.value.reason)]))
        elif display.rows:
            terminal.print(_table(display))
    others = [(display.title, _text(display)) for display in metrics.shown(place, "other")
              if isinstance(display.value, int | float)]  # fmt: skip
    if others:
        terminal.print(facts_table("Other metrics", others))


def _proportion(display: Display) -> tuple[str, ...]:
    found = display.value
    if not isinstance(found, Proportion):
        return display.title, "-", _text(display), ""
    interval = f"{percent(found.low)} – {percent(found.high)}"
    return display.title, percent(found.value), interval, f"{found.correct} of {found.total}"


def _text(display: Display) -> str:
    return display.value.reason if isinstance(display.value, Absent) else display.text or ""


def _table(display: Display) -> Any:
    """Texts cut so that a row fits the terminal; paths keep their ends."""
    columns = display.shown.columns

    def rows() -> Iterator[list[str]]:
        for row in display.rows[:SHOWN]:
            yield [shortened(cell, column.width) if column.width else cell
                   for cell, column in zip(row, columns, strict=True)]  # fmt: skip
        if len(display.rows) > SHOWN:
            yield ["…"] * len(columns)

    return table(display.title, [column.title for column in columns], rows(),
                 left=sum(column.width > 0 for column in columns))  # fmt: skip
