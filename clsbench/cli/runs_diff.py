"""``clsbench runs diff``: what was done differently in runs, and what came of it."""

from __future__ import annotations

import json as jsons
from typing import TYPE_CHECKING, Annotated

import typer

from clsbench.cli import completion
from clsbench.cli.parameters import Json, Quiet

if TYPE_CHECKING:
    from clsbench.api.run_differences import Difference

#: Characters of a value in a table.
WIDTH = 60


def diff(
    names: Annotated[
        list[str],
        typer.Argument(metavar="RUN", help="Runs, by name or directory.", autocompletion=completion.runs),
    ],
    everything: Annotated[bool, typer.Option("--all", help="Show what is the same in all of them, too.")] = False,
    json: Json = None,
    quiet: Quiet = False,
) -> None:
    """Print what differs between runs, and their metrics side by side."""
    from clsbench.api.run_differences import diff_runs
    from clsbench.cli.tables import table
    from clsbench.cli.terminal import Terminal

    terminal = Terminal(json=json, quiet=quiet)
    with terminal.observer() as observer:
        found = diff_runs(*names, everything=everything, observer=observer)
    if found.settings:
        rows = [(each.name, *(_text(value) for value in each.values)) for each in found.settings]
        title = "Settings" if everything else "Settings that differ"
        terminal.print(table(title, ("", *found.runs), rows, left=1 + len(found.runs)))
    else:
        terminal.print("no setting differs")
    two = len(found.runs) == 2
    metrics = [
        (each.name.replace("_", " "), *(_metric(each.name, v) for v in each.values), *([_change(each)] if two else []))
        for each in found.metrics
        if any(value is not None for value in each.values)
    ]
    terminal.print(table("Metrics", ("", *found.runs, *(["change"] if two else [])), metrics))
    terminal.write_json(found.to_json())


def _text(value: object) -> str:
    """A setting; of a long one the beginning."""
    from clsbench.text import on_one_line

    if value is None or value == "":
        return "-"
    text = value if isinstance(value, str) else jsons.dumps(value, ensure_ascii=False, default=str)
    return on_one_line(text if len(text) <= WIDTH else f"{text[: WIDTH - 1]}…")


def _metric(name: str, value: object) -> str:
    from clsbench.cli.tables import percent

    if isinstance(value, float):
        return percent(value) if name.endswith("accuracy") else f"{value:.1f}" if name == "seconds" else f"{value:.4f}"
    return _text(value)


def _change(metric: Difference) -> str:
    """From the first of two runs to the second; in points for accuracies."""
    first, second = metric.values
    if not isinstance(first, float) or not isinstance(second, float):
        return ""
    change = second - first
    if metric.name.endswith("accuracy"):
        return f"{100 * change:+z.2f} points"
    return f"{change:+z.1f}" if metric.name == "seconds" else f"{change:+z.4f}"
