"""The table of ``clsbench probe``, and what its columns mean."""

from __future__ import annotations

from typing import TYPE_CHECKING

from clsbench.cli.tables import millions, percent, table
from clsbench.text import counted, on_one_line

if TYPE_CHECKING:
    from clsbench.cli.terminal import Terminal
    from clsbench.probing.candidate import Row
    from clsbench.probing.result import ProbeResult


def print_probe(terminal: Terminal, result: ProbeResult) -> None:
    """Print the ranking, the tests' verdict, what was measured, and what to know of single rows."""
    from clsbench.evaluation.comparison.ranking import verdict

    rows = [
        (str(row.rank), on_one_line(row.name), percent(row.linear.value), _interval(row),
         percent(row.neighbours.value), millions(row.probed.parameters),
         _rate(row.probed.speed.images_per_second), _seconds(row))
        for row in result.rows
    ]  # fmt: skip
    title = f"{counted(result.images, 'image')}, each held out once in {result.folds} folds"
    columns = ("rank", "model", "linear", "95% interval", "k-NN", "params", "images/s", "seconds")
    terminal.print(table(title, columns, rows, left=2))
    if len(result.rows) > 1:
        terminal.print(f"By linear head (McNemar, Holm-corrected): {verdict(result.ranking)}")
    terminal.print(_measured(result))
    if faster := result.faster:
        times = faster.probed.speed.images_per_second / result.best.probed.speed.images_per_second
        terminal.print(f"{on_one_line(faster.name)} is {times:.1f} × as fast as {on_one_line(result.best.name)}, "
                       "and not shown to be worse.")  # fmt: skip
    for row in result.rows:
        if row.probed.unconverged:
            terminal.note(f"{row.name}: the linear head did not converge in {counted(row.probed.unconverged, 'fold')}")


def _interval(row: Row) -> str:
    return f"{100 * row.linear.low:.1f} – {100 * row.linear.high:.1f}"


def _rate(rate: float) -> str:
    return f"{rate:.1f}" if rate < 100 else f"{rate:,.0f}"


def _seconds(row: Row) -> str:
    """Of this call: evaluating the backbone, and fitting the heads."""
    spent = row.probed.head_seconds + (0 if row.probed.kept else row.probed.feature_seconds)
    return f"{spent:.1f}{' *' if row.probed.kept else ''}"


def _measured(result: ProbeResult) -> str:
    kinds = {
        f"{'ONNX Runtime' if speed.engine == 'onnxruntime' else 'torch'} on {speed.device}"
        + (f", {speed.streams} × {speed.batch_size}" if speed.streams > 1 else f", batches of {speed.batch_size}"): None
        for speed in (row.probed.speed for row in result.rows)
    }
    text = f"images/s: the network alone, in {' or '.join(kinds)}. seconds: features and heads"
    return text + (" (*: features kept from an earlier call)." if any(row.probed.kept for row in result.rows) else ".")
