"""``clsbench adopt``: a foreign .onnx classifier becomes one that knows itself."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from clsbench.cli.parameters import GateN, Json, Quiet


def adopt(
    file: Annotated[Path, typer.Argument(metavar="FILE", help="An .onnx classifier of any program.")],
    out: Annotated[Path | None, typer.Option(metavar="FILE", help="File to write. Default: NAME-adopted.onnx.")] = None,
    classes: Annotated[
        str | None,
        typer.Option(metavar="FILE", help="Names of the classes in order: one a line, JSON, or the word imagenet."),
    ] = None,
    transform: Annotated[
        str | None,
        typer.Option(metavar="NAME", help="All of the preprocessing: imagenet, clip, or a file of a transform."),
    ] = None,
    size: Annotated[
        str | None, typer.Option(metavar="H,W", help="Input size, pixels; one number for square images.")
    ] = None,
    resize: Annotated[str | None, typer.Option(metavar="HOW", help="crop, squash, squash-crop or letterbox.")] = None,
    crop_fraction: Annotated[
        float | None, typer.Option(metavar="F", help="Part of the resized image that a crop keeps, such as 0.875.")
    ] = None,
    interpolation: Annotated[
        str | None, typer.Option(metavar="FILTER", help="bilinear, bicubic, lanczos, box or nearest.")
    ] = None,
    mean: Annotated[
        str | None, typer.Option(metavar="R,G,B", help="Subtracted, in units of --range; in the network's order.")
    ] = None,
    std: Annotated[str | None, typer.Option(metavar="R,G,B", help="Then divided by, in the same units.")] = None,
    range_: Annotated[
        str | None, typer.Option("--range", metavar="RANGE", help="Of pixels before mean and std: 0-1 or 0-255.")
    ] = None,
    channels: Annotated[
        str | None, typer.Option(metavar="ORDER", help="Order that the network takes: rgb or bgr.")
    ] = None,
    pad: Annotated[
        str | None, typer.Option(metavar="R,G,B", help="Colour of padding, levels 0 to 255, or mean.")
    ] = None,
    output: Annotated[
        str | None, typer.Option(metavar="NAME", help="Output with the scores, where there are several.")
    ] = None,
    yes: Annotated[bool, typer.Option("--yes", "-y", help="Take the guesses for what nobody says.")] = False,
    gate_images: Annotated[
        str | None, typer.Option(metavar="DIR", help="Images for the gate; crops of two photos if left out.")
    ] = None,
    gate_n: GateN = 256,
    json: Json = None,
    quiet: Quiet = False,
) -> None:
    """Give another program's .onnx classifier a card; written only if it agrees with the original (else exit 3)."""
    from clsbench.api.adopt import adopt as run_adopt
    from clsbench.cli.gate_report import print_gate
    from clsbench.cli.terminal import Terminal
    from clsbench.text import command, file_size

    terminal = Terminal(json=json, quiet=quiet)
    with terminal.observer() as observer:
        result = run_adopt(
            file, out=out, classes=classes, transform=transform, size=size, resize=resize, crop_fraction=crop_fraction,
            interpolation=interpolation, mean=mean, std=std, range=range_, channels=channels, pad=pad, output=output,  # type: ignore[arg-type]
            guess=yes, gate_images=gate_images, gate_n=gate_n, observer=observer,
        )  # fmt: skip
    print_gate(terminal, "The file as infer runs it, against the original", result.report)
    terminal.write_json(result.to_json())
    if result.file is None:
        terminal.warn("the file disagrees with the original and was not written")
        raise typer.Exit(3)
    terminal.print(f"written: {result.file} ({file_size(result.file.stat().st_size)})")
    words = ["infer", "FOLDER", "--model", result.file, "--out", "preds.csv"]
    terminal.note(f"your own images: {command(*words)}")
