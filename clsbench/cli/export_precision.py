"""``export``'s options about precision."""

from __future__ import annotations

from typing import Annotated

import typer

from clsbench.cli.parameters import GATE

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
CarryN = Annotated[
    int,
    typer.Option(
        min=0,
        metavar="N",
        help="How many images of the gate an int8 file carries, as small JPEGs, for engines that it is not proved on; "
        "with 0 they refuse it.",
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
