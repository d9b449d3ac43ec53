"""``clsbench adopt``: a foreign .onnx classifier becomes one that knows itself."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any

import typer

from clsbench.cli import adopt_parameters as stated
from clsbench.cli import export_confidence as confidence
from clsbench.cli.parameters import GATE, PREPROCESSING, GateN, Json, Quiet
from clsbench.cli.usage import GeneralCommand


def adopt(
    file: Annotated[Path, typer.Argument(metavar="FILE", help="An .onnx classifier of any program.")],
    out: Annotated[Path | None, typer.Option(metavar="FILE", help="File to write. Default: NAME-adopted.onnx.")] = None,
    classes: stated.Classes = None,
    transform: stated.Transform = None,
    size: stated.Size = None,
    resize: stated.Resize = None,
    crop_fraction: stated.CropFraction = None,
    interpolation: stated.Interpolation = None,
    mean: stated.Mean = None,
    std: stated.Std = None,
    range_: stated.Range = None,
    channels: stated.Channels = None,
    pad: stated.Pad = None,
    output: Annotated[
        str | None, typer.Option(metavar="NAME", help="Output with the scores, where there are several.")
    ] = None,
    yes: Annotated[bool, typer.Option("--yes", "-y", help="Take the guesses for what nobody says.")] = False,
    check: Annotated[
        str | None,
        typer.Option(
            metavar="DIR",
            help="Rank the usual preprocessing by these images, by class folders if labelled; write no file.",
            rich_help_panel=PREPROCESSING,
        ),
    ] = None,
    gate_images: Annotated[
        str | None,
        typer.Option(
            metavar="DIR",
            help="Images to compare original and file on. Default: crops of two photos.",
            rich_help_panel=GATE,
        ),
    ] = None,
    gate_n: GateN = 256,
    calibrate: confidence.Calibrate = False,
    abstain_at_precision: confidence.AbstainAtPrecision = None,
    calibrate_images: confidence.CalibrateImages = None,
    json: Json = None,
    quiet: Quiet = False,
) -> None:
    """Give another program's .onnx classifier a card; written only if it agrees with the original (else exit 3)."""
    from clsbench.api.adopt import adopt as run_adopt
    from clsbench.api.rank_transforms import rank_transforms
    from clsbench.cli.terminal import Terminal
    from clsbench.cli.transform_check_tables import print_check
    from clsbench.errors import OptionError

    terminal = Terminal(json=json, quiet=quiet)
    given: dict[str, Any] = {
        "classes": classes, "transform": transform, "size": size, "resize": resize, "crop_fraction": crop_fraction,
        "interpolation": interpolation, "mean": mean, "std": std, "range": range_, "channels": channels, "pad": pad,
        "output": output,
    }  # fmt: skip
    if check is not None:
        if out is not None:
            raise OptionError("--check writes no model", where="--out", got=out, hint="leave one of the two out")
        with terminal.observer() as observer:
            ranked = rank_transforms(file, check, observer=observer, **given)
        others = [*(["--classes", classes] if classes else []), *(["--output", output] if output else [])]
        print_check(terminal, ranked, file, *others)
        terminal.write_json(ranked.to_json())
        return
    with terminal.observer() as observer:
        result = run_adopt(
            file, out=out, guess=yes, gate_images=gate_images, gate_n=gate_n, calibrate=calibrate,
            abstain_at_precision=abstain_at_precision, calibrate_images=calibrate_images, observer=observer, **given,
        )  # fmt: skip
    _print(terminal, result)


def _print(terminal: Any, result: Any) -> None:
    """What the gate found, and what to do next."""
    from clsbench.cli.gate_report import print_gate
    from clsbench.text import command, file_size

    print_gate(terminal, "The file as infer runs it, against the original", result.report)
    terminal.write_json(result.to_json())
    if result.file is None:
        terminal.warn("the file disagrees with the original and was not written")
        raise typer.Exit(3)
    confidence.print_confidence(terminal, result.card)
    terminal.print(f"written: {result.file} ({file_size(result.file.stat().st_size)})")
    words = ["infer", "FOLDER", "--model", result.file, "--out", "preds.csv"]
    terminal.note(f"your own images: {command(*words)}")


adopt.command_class = GeneralCommand  # type: ignore[attr-defined]
