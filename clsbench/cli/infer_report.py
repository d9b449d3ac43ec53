"""What ``clsbench infer`` prints: the class of each of a few images, or the images of each class; then the speed."""

from __future__ import annotations

from typing import TYPE_CHECKING

from clsbench.cli.evaluation_tables import print_metrics
from clsbench.cli.infer_abstained import print_abstained
from clsbench.cli.infer_answers import answers_table
from clsbench.cli.infer_failures import failures_table
from clsbench.cli.tables import facts_table, first_rows, percent, table
from clsbench.inference.timing import STAGES, Timing
from clsbench.text import counted

if TYPE_CHECKING:
    from pathlib import Path

    from rich.table import Table

    from clsbench.cli.terminal import Terminal
    from clsbench.inference.result import InferenceResult

#: Classes listed by their number of images.
CLASSES = 10


def print_result(terminal: Terminal, result: InferenceResult, *, saved: bool, asked: bool) -> None:
    """Print what ``--json`` holds, for people, and what to do next.

    Args:
        terminal: To print to.
        result: Of the job.
        saved: Whether the predictions were written.
        asked: Whether the user asked for metrics.
    """
    if result.answers:
        terminal.print(answers_table(result, terminal))
        if asked:
            print_metrics(terminal, result.metrics, "infer")
        terminal.print(_summary(result))
        print_abstained(terminal, result.abstained)
    else:
        if result.predicted:
            terminal.print(_classes(result))
        print_abstained(terminal, result.abstained)
        print_metrics(terminal, result.metrics, "infer")
        if result.execution.timing:
            terminal.print(_throughput(result, result.execution.timing))
    if result.failures and not result.answers:
        terminal.print(failures_table(result))
    if not saved:
        terminal.note("nothing was saved: add --out preds.csv to keep the predictions")
    elif result.out:
        _next(terminal, result, result.out)


def _next(terminal: Terminal, result: InferenceResult, out: Path) -> None:
    """Name the command for these predictions: one that the columns of the file are enough for."""
    if shard := result.shard:
        terminal.note(f"when all {shard.of} shards are there: clsbench merge SHARDS... --out preds{out.suffix}")
        return
    columns = result.written.get("columns")
    written = columns if isinstance(columns, list | tuple) else ("label", "predicted")
    if "predicted" not in written:
        return
    if result.counts.labelled and "label" in written:
        terminal.next("evaluate", out)
    elif not (result.sorted and result.sorted.mode == "move"):
        terminal.next("show", out, "--pick", "random")


def _summary(result: InferenceResult) -> str:
    """How many of a few images were right, and how long it took."""
    right = sum(bool(a.best) and a.best[0][0] == a.label for a in result.answers)
    parts = [f"{right} of {result.counts.labelled} correct"] if result.counts.labelled else []
    if timing := result.execution.timing:
        where = _device(result) if result.execution.device.precision else result.execution.device.device
        parts.append(f"{counted(timing.images, 'image')} in {timing.seconds:.2f} s on {where}")
    return "; ".join(parts)


def _device(result: InferenceResult) -> str:
    """What it ran on, and in which precision where the backend says so: ``cpu (OpenVINO 2026.4.1, bfloat16)``."""
    device = result.execution.device
    where = device.device + "".join(f" {index}" for index in device.indices)
    return f"{where} ({device.provider}{f', {device.precision}' if device.precision else ''})"


def _classes(result: InferenceResult) -> Table:
    """The images given each class, the most frequent first."""
    classified = result.counts.ok or 1
    rows = [(name, f"{count:,}", percent(count / classified)) for name, count in result.predicted.items()]
    title = first_rows("Predicted classes", min(CLASSES, len(rows)), len(rows), None)
    return table(title, ("class", "images", "share"), rows[:CLASSES])


def _throughput(result: InferenceResult, timing: Timing) -> Table:
    counts, plan = result.counts, result.execution.plan
    count = max(timing.images, 1)
    done = f", {result.resumed:,} of them done before" if result.resumed else ""
    errors = f", {counts.errors} with errors" if counts.errors else ""
    stages = " · ".join(f"{stage} {1000 * timing.clock.wall[stage] / count:.2f}" for stage in STAGES)
    steady = f"{timing.steady_images_per_second:.1f} in steady state"
    choice = [("backend", next(result.backend_choice.notes()))] if result.backend_choice else []
    level = f", graph level {plan.graph_level}" if plan.graph_level == "extended" else ""
    rows = [
        ("images", f"{counts.total}{errors} in {timing.seconds:.1f} s{done}"),
        ("images/s", f"{timing.images_per_second:.1f} overall, {steady}"),
        ("limit", timing.limit_text),
        ("ms an image", stages),
        *choice,
        ("device", _device(result)),
        *([("decoder", decoded.text)] if (decoded := result.execution.decoded) else []),
        ("plan", f"{counted(plan.streams, 'stream')} × {counted(plan.threads, 'thread')}, "
                 f"batches of {plan.batch_size}{level} ({plan.source})"),
        ("verdict", timing.verdict),
    ]  # fmt: skip
    return facts_table("Throughput", rows)
