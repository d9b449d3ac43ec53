"""Parameters of the commands that open labelled images or build a network."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from clsbench.cli import completion
from clsbench.cli.parameters import DATA, MODEL
from clsbench.transform import Interpolation, Resize

Data = Annotated[
    str | None,
    typer.Argument(
        metavar="DATA", help="Class folders, in a folder, archive or URL; or a .csv. Default: the embedded digits."
    ),
]
DatasetName = Annotated[
    str | None,
    typer.Option(
        "--dataset",
        metavar="NAME",
        help="Kind of dataset, one of `clsbench datasets`. Default: chosen by DATA.",
        autocompletion=completion.datasets,
        rich_help_panel=DATA,
    ),
]
ModelName = Annotated[
    str,
    typer.Option(
        "--model",
        metavar="NAME",
        help="Model to use, one of `clsbench models`.",
        autocompletion=completion.models,
        rich_help_panel=MODEL,
    ),
]
ModelOrRecorded = Annotated[
    str | None,
    typer.Option(
        "--model",
        metavar="NAME",
        help="Model to use, one of `clsbench models`. Default: simple-cnn.",
        autocompletion=completion.models,
        rich_help_panel=MODEL,
    ),
]
Pretrained = Annotated[bool, typer.Option("--pretrained", help="Start from published weights.", rich_help_panel=MODEL)]
Weights = Annotated[
    Path | None,
    typer.Option(
        "--weights",
        metavar="FILE|RUN",
        help="Start from a local weights file, or from a run's best weights.",
        autocompletion=completion.runs,
        rich_help_panel=MODEL,
    ),
]
Size = Annotated[
    str | None,
    typer.Option(
        metavar="N|H,W",
        help="Side of the square images that the network takes, or height and width, in pixels. Default: the model's "
        "own, such as 224.",
        rich_help_panel=MODEL,
    ),
]
HowResized = Annotated[
    Resize | None,
    typer.Option(
        "--resize",
        help="How images get that size: cut off what is too long (crop), ignore the aspect ratio (squash), both "
        "(squash-crop) or pad (letterbox). Default: the model's own, mostly crop.",
        rich_help_panel=MODEL,
    ),
]
Pad = Annotated[
    str | None,
    typer.Option(
        metavar="R,G,B|mean",
        help="Colour of the padding of letterbox, 0 to 255 each. Default: the mean that the network subtracts.",
        rich_help_panel=MODEL,
    ),
]
Filter = Annotated[
    Interpolation | None,
    typer.Option("--interpolation", help="Resampling filter. Default: the model's own.", rich_help_panel=MODEL),
]
