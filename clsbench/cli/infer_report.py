"""The three tables of ``clsbench infer``: accuracy, per class, throughput."""

from __future__ import annotations

from typing import TYPE_CHECKING

from clsbench.cli.evaluation_tables import print_metrics
from clsbench.cli.tables import facts_table
from clsbench.inference.timing import STAGES, Timing

if TYPE_CHECKING:
    from rich.table import Table

    from clsbench.cli.terminal import Terminal
    from clsbench.inference.result import InferenceResult


def print_result(terminal: Terminal, result: InferenceResult) -> None:
    """Print what ``--json`` holds, for people."""
    print_metrics(terminal, result.metrics, "infer")
    if result.execution.timing:
        terminal.print(_throughput(result, result.execution.timing))


def _throughput(result: InferenceResult, timing: Timing) -> Table:
    counts, device, plan = result.counts, result.execution.device, result.execution.plan
    count = max(timing.images, 1)
    errors = f", {counts.errors} with errors" if counts.errors else ""
    stages = " · ".join(f"{stage} {1000 * timing.clock.wall[stage] / count:.2f}" for stage in STAGES)
    where = device.device + "".join(f" {index}" for index in device.indices)
    steady = f"{timing.steady_images_per_second:.1f} in steady state"
    rows = [
        ("images", f"{counts.total}{errors} in {timing.seconds:.1f} s"),
        ("images/s", f"{timing.images_per_second:.1f} overall, {steady}"),
        ("limit", timing.limit_text),
        ("ms an image", stages),
        ("device", f"{where} ({device.provider})"),
        ("plan", f"{plan.streams} streams × {plan.threads} threads, batches of {plan.batch_size} ({plan.source})"),
        ("verdict", timing.verdict),
    ]
    return facts_table("Throughput", rows)
