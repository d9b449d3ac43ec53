"""``clsbench export``: a trained network as one self-describing .onnx, proved equal."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from clsbench.cli import completion
from clsbench.cli import export_confidence as confidence
from clsbench.cli import export_precision as reduced
from clsbench.cli.parameters import GATE, Device, Json, Quiet, With
from clsbench.cli.usage import GeneralCommand


def export(
    run: Annotated[
        str | None,
        typer.Argument(
            metavar="RUN",
            help="A run's name or directory, or an .onnx file for --precision; the latest run if left out.",
            autocompletion=completion.runs,
        ),
    ] = None,
    onnx: Annotated[bool, typer.Option("--onnx", help="Write ONNX, the only format so far.")] = True,
    out: Annotated[
        Path | None,
        typer.Option(
            metavar="FILE",
            help="File to write. Default: RUN/model.onnx, or MODEL.onnx with --model; .int8.onnx, .fp16.onnx.",
        ),
    ] = None,
    model: Annotated[
        str | None,
        typer.Option(
            metavar="NAME",
            help="Export this model, as published or with --weights, not a run.",
            autocompletion=completion.models,
        ),
    ] = None,
    pretrained: Annotated[bool, typer.Option("--pretrained", help="Use the published weights of --model.")] = False,
    weights: Annotated[
        Path | None, typer.Option(metavar="FILE", help="Use weights from a local file with --model.")
    ] = None,
    classes: Annotated[
        str | None,
        typer.Option(
            metavar="NAMES",
            help="Names of the classes of --weights in order, or for zero-shot: cat,dog or a file, one a line or JSON.",
        ),
    ] = None,
    head: Annotated[
        str, typer.Option(metavar="HEAD", help="Head of --weights: linear or mlp:WIDTH[,dropout=P].")
    ] = "linear",
    transform: Annotated[
        list[str] | None,
        typer.Option(
            metavar="KEY=VALUE",
            help="Change the preprocessing of --model, such as size=224, resize=squash, crop_fraction=1 or mean=0.5.",
        ),
    ] = None,
    images: Annotated[
        str | None,
        typer.Option(
            "--gate-images",
            "--images",
            metavar="DIR",
            help="Images to compare network and file on, as infer takes them. Default: the run's validation split.",
            rich_help_panel=GATE,
        ),
    ] = None,
    gate_n: reduced.GateN = None,
    precision: reduced.Precision = "fp32",
    made_for: reduced.MadeFor = "onnxruntime",
    max_drop: reduced.MaxDrop = 0.5,
    min_speedup: reduced.MinSpeedup = 1.0,
    force: reduced.Force = False,
    calibrate_images: reduced.CalibrateImages = None,
    calibrate_n: reduced.CalibrateN = 128,
    carry_n: reduced.CarryN = 16,
    device: Device = "cpu",
    calibrate: confidence.Calibrate = False,
    abstain_at_precision: confidence.AbstainAtPrecision = None,
    options: With = None,
    json: Json = None,
    quiet: Quiet = False,
) -> None:
    """Export to ONNX; the file is written only if it agrees with the network (else exit 3)."""
    from clsbench.api.export import export as run_export
    from clsbench.cli.export_report import print_export
    from clsbench.cli.terminal import Terminal
    from clsbench.text import command

    terminal = Terminal(json=json, quiet=quiet)
    with terminal.observer() as observer:
        result = run_export(
            run, model=model, pretrained=pretrained, weights=weights, classes=classes, head=head,
            transform=transform or (), images=images, gate_n=gate_n, device=device, out=out, precision=precision,
            made_for=made_for, max_drop=max_drop, min_speedup=min_speedup, force=force,
            calibrate=calibrate, abstain_at_precision=abstain_at_precision, calibrate_images=calibrate_images,
            calibrate_n=calibrate_n, carry_n=carry_n, options=options or (), observer=observer,
        )  # fmt: skip
    for made in (result, *result.more):
        print_export(terminal, made)
    terminal.write_json(result.to_json())
    if not result.complete:
        raise typer.Exit(3)
    if model is None and result.precision is None and "run" in result.card.training:
        terminal.next("evaluate", run or result.card.training["run"])
    last = (result, *result.more)[-1]
    engine = ["--backend", last.card.made_for] if last.card.made_for not in (None, "onnxruntime") else []
    words = ["infer", "FOLDER", "--model", last.file, *engine, "--out", "preds.csv"]
    terminal.note(f"your own images: {command(*words)}")


export.command_class = GeneralCommand  # type: ignore[attr-defined]
