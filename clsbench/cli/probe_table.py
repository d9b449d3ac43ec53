"""The table of ``clsbench probe``, and what its columns mean."""

from __future__ import annotations

from typing import TYPE_CHECKING

from clsbench.cli.tables import table
from clsbench.text import counted, on_one_line

if TYPE_CHECKING:
    from clsbench.cli.terminal import Terminal
    from clsbench.probing.candidate import Row
    from clsbench.probing.result import ProbeResult


def print_probe(terminal: Terminal, result: ProbeResult) -> None:
    """Print the ranking, the tests' verdict, what was measured, and what to know of single rows."""
    from clsbench.evaluation.comparison.ranking import verdict

    rows = [
        (str(row.rank), on_one_line(row.name), _accuracy(row), f"{100 * row.neighbours.value:.1f}",
         _short(row.probed.parameters / 1e6, "M"), _rate(row.probed.speed.images_per_second),
         _short(_seconds(row), "s"))
        for row in result.rows
    ]  # fmt: skip
    title = f"Accuracy in % on {counted(result.images, 'image')}, each held out once in {result.folds} folds"
    columns = ("rank", "model", "linear head,\n95% interval", "k-NN", "params", "images\n/s", "time")
    terminal.print(table(title, columns, rows, left=2))
    if len(result.rows) > 1:
        terminal.print(f"By linear head (McNemar, Holm-corrected): {verdict(result.ranking)}")
    terminal.print(_measured(result), "time: features, unless they were kept, and heads.")
    if faster := result.faster:
        times = faster.probed.speed.images_per_second / result.best.probed.speed.images_per_second
        terminal.print(f"{on_one_line(faster.name)} is {times:.1f} × as fast as {on_one_line(result.best.name)}, "
                       "and not shown to be worse.")  # fmt: skip
    for row in result.rows:
        if row.probed.unconverged:
            terminal.note(f"{row.name}: the linear head did not converge in {counted(row.probed.unconverged, 'fold')}")


def _accuracy(row: Row) -> str:
    linear = row.linear
    return f"{100 * linear.value:.1f} ({100 * linear.low:.1f}–{100 * linear.high:.1f})"


def _rate(rate: float) -> str:
    return f"{rate:.1f}" if rate < 100 else f"{rate:,.0f}"


def _short(value: float, unit: str) -> str:
    return f"{value:.1f} {unit}" if value < 9.95 else f"{value:,.0f} {unit}"


def _seconds(row: Row) -> float:
    """Of this call: evaluating the backbone, and fitting the heads."""
    return row.probed.head_seconds + (0 if row.probed.kept else row.probed.feature_seconds)


def _measured(result: ProbeResult) -> str:
    kinds = {
        f"{'ONNX Runtime' if speed.engine == 'onnxruntime' else 'torch'} on {speed.device}, "
        f"{counted(speed.streams, 'stream')}, batches of {speed.batch_size}": None
        for speed in (row.probed.speed for row in result.rows)
    }
    return f"images/s: the network alone, in {' or '.join(kinds)}."
