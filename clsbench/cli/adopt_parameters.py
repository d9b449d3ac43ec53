"""The options of ``adopt`` that state the preprocessing of a foreign model."""

from __future__ import annotations

from typing import Annotated

import typer

from clsbench.cli.parameters import PREPROCESSING

Classes = Annotated[
    str | None,
    typer.Option(metavar="FILE|imagenet", help="Names of the classes in order: one a line, or JSON."),
]
Transform = Annotated[
    str | None,
    typer.Option(
        metavar="NAME|FILE",
        help="All of it: imagenet, clip, JSON, or a file with a card.",
        rich_help_panel=PREPROCESSING,
    ),
]
Size = Annotated[
    str | None,
    typer.Option(
        metavar="H,W", help="Input size, pixels; one number for square images.", rich_help_panel=PREPROCESSING
    ),
]
Resize = Annotated[
    str | None,
    typer.Option(metavar="HOW", help="crop, squash, squash-crop or letterbox.", rich_help_panel=PREPROCESSING),
]
CropFraction = Annotated[
    float | None,
    typer.Option(
        metavar="F", help="Part of the resized image that a crop keeps, such as 0.875.", rich_help_panel=PREPROCESSING
    ),
]
Interpolation = Annotated[
    str | None,
    typer.Option(metavar="FILTER", help="bilinear, bicubic, lanczos, box or nearest.", rich_help_panel=PREPROCESSING),
]
Mean = Annotated[
    str | None,
    typer.Option(
        metavar="A,B,C", help="Subtracted, in units of --range and the network's order.", rich_help_panel=PREPROCESSING
    ),
]
Std = Annotated[
    str | None,
    typer.Option(metavar="A,B,C", help="Then divided by, in the same units.", rich_help_panel=PREPROCESSING),
]
Range = Annotated[
    str | None,
    typer.Option(
        "--range",
        metavar="RANGE",
        help="Of pixels before mean and std: 0-1 or 0-255; alone: nothing is subtracted.",
        rich_help_panel=PREPROCESSING,
    ),
]
Channels = Annotated[
    str | None,
    typer.Option(metavar="ORDER", help="Order that the network takes: rgb or bgr.", rich_help_panel=PREPROCESSING),
]
Pad = Annotated[
    str | None,
    typer.Option(metavar="R,G,B", help="Colour of padding, levels 0 to 255, or mean.", rich_help_panel=PREPROCESSING),
]
