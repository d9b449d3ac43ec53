"""``export``'s options about precision, and what a change of it costs and brings."""

from __future__ import annotations

import statistics
from typing import TYPE_CHECKING, Annotated

import typer

from clsbench.cli.parameters import GATE

if TYPE_CHECKING:
    from rich.table import Table

    from clsbench.cli.terminal import Terminal
    from clsbench.exporting.exporter import ExportResult
    from clsbench.exporting.quantizing.result import PrecisionResult

#: A heading of `export --help`.
PRECISION = "Precision"

Precision = Annotated[
    str,
    typer.Option(
        metavar="P,P,…",
        help="Precision of weights and activations: fp32, fp16 (for GPUs), int8 (for CPUs), or several: fp32,int8.",
        rich_help_panel=PRECISION,
    ),
]
MadeFor = Annotated[
    str,
    typer.Option(
        "--for",
        metavar="ENGINE",
        help="Engine to make int8 for, and to prove it with: onnxruntime or openvino.",
        rich_help_panel=PRECISION,
    ),
]
MaxDrop = Annotated[
    float,
    typer.Option(
        metavar="POINTS",
        help="Accuracy that int8 may lose; its most sensitive layers stay in float until it holds.",
        rich_help_panel=PRECISION,
    ),
]
MinSpeedup = Annotated[
    float,
    typer.Option(
        metavar="FACTOR",
        help="How many times as fast as float32 int8 has to be, alone and end to end.",
        rich_help_panel=PRECISION,
    ),
]
Force = Annotated[
    bool,
    typer.Option("--force", help="Write int8 also where it breaks one of these two.", rich_help_panel=PRECISION),
]
CalibrateImages = Annotated[
    str | None,
    typer.Option(
        metavar="DIR",
        help="Images to calibrate with. int8 takes its ranges from training images, which need no labels (default: the "
        "run's training split); --calibrate and --abstain-at-precision need labelled ones in class folders (default: "
        "the run's validation split).",
        rich_help_panel=PRECISION,
    ),
]
CalibrateN = Annotated[
    int,
    typer.Option(
        min=1,
        metavar="N",
        help="How many of them int8 takes at most, spread evenly.",
        rich_help_panel=PRECISION,
    ),
]
GateN = Annotated[
    int | None,
    typer.Option(
        "--gate-n",
        min=1,
        metavar="N",
        help="How many images to compare at most, spread evenly. Default: 256, and 1000 for int8.",
        rich_help_panel=GATE,
    ),
]


def print_export(terminal: Terminal, result: ExportResult) -> None:
    """Print what was measured of a file, and whether it was written."""
    from clsbench.cli.export_confidence import print_confidence
    from clsbench.cli.gate_report import print_gate
    from clsbench.text import file_size

    if result.precision:
        terminal.print(_table(result, result.precision))
        _facts(terminal, result, result.precision)
        for broken in result.precision.broken:
            terminal.warn(f"{result.card.precision}: {broken}")
    else:
        against = "the trained network" if result.card.parent is None else "the float32 file"
        print_gate(terminal, f"The file as infer runs it, against {against}", result.report)
        if result.file is None:
            terminal.warn(f"the file disagrees with {against} and was not written")
    if result.file is None:
        if result.precision:
            terminal.warn("the file was not written; --force writes it all the same")
        return
    if result.card.parent is None:
        print_confidence(terminal, result.card)
    terminal.print(f"written: {result.file} ({file_size(result.file.stat().st_size)})")


def _table(result: ExportResult, found: PrecisionResult) -> Table:
    """Both files, line by line: what is lost and what is gained."""
    from clsbench.cli.tables import percent, table
    from clsbench.text import counted, file_size

    report, speed, rows = result.report, found.speed, []
    if report.accuracy is not None:
        change = "" if report.drop is None else f"{-report.drop:+z.2f} points"
        rows.append(("top-1 accuracy", percent(report.reference_accuracy), percent(report.accuracy), change))
    if speed:
        for name, rates in (("images/s, end to end", speed.end_to_end), ("images/s, model alone", speed.model_only)):
            before, after = (f"{statistics.median(each):.0f}" for each in (rates.parent, rates.file))
            rows.append((name, before, after, f"{rates.ratio:.2f} ×{'' if rates.stable else ' ~'}"))
    ratio = found.size / found.parent_size
    rows.append(("size", file_size(found.parent_size), file_size(found.size), f"{ratio:.2f} ×"))
    title = f"{result.card.precision} for {result.card.made_for}, judged on {counted(report.images, 'image')}"
    return table(title, ("", "float32", result.card.precision, "change"), rows)


def _facts(terminal: Terminal, result: ExportResult, found: PrecisionResult) -> None:
    """What the table does not say."""
    from clsbench.text import counted, some

    report = result.report
    flips = (report.flips or 0) + (report.near_ties or 0)
    if report.drop_interval:
        low, high = (-end for end in reversed(report.drop_interval))
        terminal.print(
            f"{counted(flips, 'image')} with another top-1: {report.lost} right before, {report.gained} right now; "
            f"95% interval {low:+z.2f} to {high:+z.2f} points"
        )
    elif report.expected_drop is not None:
        terminal.print(
            f"{counted(flips, 'image')} with another top-1; no labels: by float32's own probabilities "
            f"{report.expected_drop:.2f} points are lost"
        )
    if kept := result.card.float_layers:
        terminal.print(f"{len(kept)} of {counted(found.layers, 'layer')} in float: {some(list(kept), 4)}")
    if found.speed and not (found.speed.model_only.stable and found.speed.end_to_end.stable):
        terminal.print("~ no three rounds in a row agreed within 10%: the machine is busy")
    if result.file:
        terminal.note(
            f"the file carries {counted(found.carried, 'image')} of the gate, for engines it was not proved on"
        )
