"""The tables of metrics in the terminal, as the metrics declare them, in 80 columns."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from clsbench.cli.tables import facts_table, first_rows, percent, table
from clsbench.cli.terminal import Terminal
from clsbench.evaluation.judging import Evaluation
from clsbench.predictions.metric import FEW, Column, Display, Metrics
from clsbench.predictions.values import Absent, Proportion
from clsbench.text import shortened, shortened_path

#: Rows of a declared table, and characters between two columns.
SHOWN, GAP = 30, 3


def print_evaluation(terminal: Terminal, evaluation: Evaluation, top: int) -> None:
    """Print what ``evaluate --json`` holds, for people; ``top`` rows of the tables whose first rows matter most."""
    print_metrics(terminal, evaluation.metrics, "evaluate", top)


def print_metrics(terminal: Terminal, metrics: Metrics, place: str, top: int | None = None) -> None:
    """Print values of metrics.

    Args:
        terminal: To print to.
        metrics: To print.
        place: ``infer`` or ``evaluate``.
        top: Rows of the tables whose first rows matter most; None where the command has no ``--top``.
    """
    if accuracy := metrics.shown(place, "proportion"):
        rows = [_proportion(display) for display in accuracy]
        terminal.print(table("Accuracy", ("", "value", "95% interval", "correct"), rows))
    if scores := metrics.shown(place, "score"):
        terminal.print(facts_table("Summary", [(display.title, _text(display)) for display in scores]))
    for display in metrics.shown(place, "table"):
        if isinstance(display.value, Absent):
            terminal.print(facts_table(display.title, [("", display.value.reason)]))
        elif display.rows:
            terminal.print(display_table(display, terminal, top=top))
    others = [(display.title, _text(display)) for display in metrics.shown(place, "other")
              if isinstance(display.value, int | float | str | Absent)]  # fmt: skip
    if others:
        terminal.print(facts_table("Other metrics", others))


def _proportion(display: Display) -> tuple[str, ...]:
    found = display.value
    if not isinstance(found, Proportion):
        return display.title, "-", _text(display), ""
    interval = f"{percent(found.low)} – {percent(found.high)}"
    return display.title, percent(found.value), interval, f"{found.correct:,} of {found.total:,}"


def _text(display: Display) -> str:
    return display.value.reason if isinstance(display.value, Absent) else display.text or ""


def display_table(display: Display, terminal: Terminal, *, title: str | None = None, top: int | None = None) -> Any:
    """A declared table; where it has to fit a width, texts are shortened so that a row does, but no file's own name."""
    columns, title = display.shown.columns, title or display.title
    shown: Sequence[Sequence[str]]
    if display.total is None:
        shown, more = display.rows[:SHOWN], len(display.rows) > SHOWN
    else:
        shown, more = display.rows[: top or FEW], False
        title = first_rows(title, len(shown), display.total, "--top" if top else None)

    rows: list[Sequence[str]]
    rows = _fitted(shown, columns, terminal.out.width) if terminal.limited else [*shown]
    if more:
        rows.append(["…"] * len(columns))
    return table(title, [column.title for column in columns], rows,
                 left=sum(column.width > 0 for column in columns))  # fmt: skip


def _fitted(rows: Sequence[Sequence[str]], columns: Sequence[Column], width: int) -> list[Sequence[str]]:
    """Texts shortened so that a row fits, none below the width of its column; paths get the room first."""
    whole = [max(map(len, (column.title, *(row[k] for row in rows)))) for k, column in enumerate(columns)]
    room = [min(most, max(column.width, len(column.title))) if column.width else most
            for most, column in zip(whole, columns, strict=True)]  # fmt: skip
    left = width - sum(room) - GAP * len(columns)
    wanting = sorted((not column.path, whole[k] - room[k], k) for k, column in enumerate(columns) if column.width)
    for position, (label, more, k) in enumerate(wanting):
        given = max(0, min(more, left // (len(wanting) - position) if label else left))
        room[k], left = room[k] + given, left - given
    return [[(shortened_path if column.path else shortened)(cell, most) if column.width else cell
             for cell, column, most in zip(row, columns, room, strict=True)] for row in rows]  # fmt: skip
