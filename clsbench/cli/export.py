"""``clsbench export``: a trained network as one self-describing .onnx, proved equal."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from clsbench.cli.parameters import Json, Quiet, With


def export(
    run: Annotated[
        str | None, typer.Argument(metavar="RUN", help="A run's name or directory; the latest if left out.")
    ] = None,
    onnx: Annotated[bool, typer.Option("--onnx", help="Write ONNX, the only format so far.")] = True,
    out: Annotated[
        Path | None,
        typer.Option(metavar="FILE", help="File to write. Default: RUN/model.onnx, or MODEL.onnx with --model."),
    ] = None,
    model: Annotated[
        str | None,
        typer.Option(metavar="NAME", help="Export this model as it is, with its own classes, instead of a run."),
    ] = None,
    pretrained: Annotated[bool, typer.Option("--pretrained", help="Use the published weights of --model.")] = False,
    weights: Annotated[
        Path | None, typer.Option(metavar="FILE", help="Use weights from a local file with --model.")
    ] = None,
    images: Annotated[
        Path | None,
        typer.Option(metavar="DIR", help="Images for the parity gate; the run's validation split if left out."),
    ] = None,
    options: With = None,
    json: Json = None,
    quiet: Quiet = False,
) -> None:
    """Export to ONNX; the file is written only if it agrees with the network (else exit 3)."""
    from clsbench.api.export import export as run_export
    from clsbench.cli.tables import table
    from clsbench.cli.terminal import Terminal

    terminal = Terminal(json=json, quiet=quiet)
    with terminal.observer() as observer:
        result = run_export(
            run, model=model, pretrained=pretrained, weights=weights, images=images, out=out, options=options or (),
            observer=observer,
        )  # fmt: skip
    report = result.report
    rows = [
        (str(b.batch_size), f"{b.top1_agreement:.2%}", f"{b.max_probability_difference:.2e}") for b in report.batches
    ]
    verdict = "PASSED" if report.passed else "FAILED"
    columns = ("batch size", "top-1 agreement", "largest probability difference")
    terminal.print(table(f"Parity with the trained network: {verdict}", columns, rows, left=0))
    terminal.write_json(result.to_json())
    if result.file is None:
        tolerance = "" if report.tolerance is None else f", probabilities within {report.tolerance:g}"
        terminal.warn(
            "the file disagrees with the trained network and was not written\n"
            f"  expected: the same top-1 everywhere{tolerance}"
        )
        raise typer.Exit(3)
    terminal.print(f"written: {result.file} ({result.file.stat().st_size / 1e6:.1f} MB)")
    terminal.note("next: clsbench infer IMAGES --out preds.csv")
