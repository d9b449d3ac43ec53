"""Parameters that most commands share, with one wording each."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

#: Headings of `train --help` that are not those of `training.config`.
DATA, MODEL, OUTPUT = "Data", "Network and recipe", "Output"
PREPROCESSING = "Preprocessing, where the file does not say it"
#: Headings of `export --help` and `adopt --help`.
GATE, CONFIDENCE = "Gate", "Confidence"

With = Annotated[
    list[str] | None,
    typer.Option(
        "--with",
        metavar="NAME.KEY=VALUE",
        help="Set an option of a component, such as model.width=64 or confusion.min_count=5.",
        rich_help_panel=MODEL,
    ),
]
Json = Annotated[
    str | None,
    typer.Option(
        "--json",
        metavar="FILE",
        help="Write the results as JSON to this file, or to stdout with -.",
        rich_help_panel=OUTPUT,
    ),
]
Quiet = Annotated[
    bool,
    typer.Option("--quiet", "-q", help="Write no progress and no notes to stderr.", rich_help_panel=OUTPUT),
]
GateN = Annotated[
    int,
    typer.Option(
        "--gate-n",
        min=1,
        metavar="N",
        help="How many images to compare at most, spread evenly.",
        rich_help_panel=GATE,
    ),
]
Seed = Annotated[int, typer.Option(metavar="N", help="Random seed for the splits and for choosing images to draw.")]
Device = Annotated[
    str,
    typer.Option(
        metavar="DEVICE",
        help="Device to run on: auto, cpu, cuda[:i,j], tensorrt[:i,j], ep:NAME[:i] (a plugin provider of ONNX Runtime) "
        "or another backend's own; an error if a named one cannot be used.",
    ),
]
AllowFallback = Annotated[
    bool, typer.Option("--allow-fallback", help="Let parts of the network run on the CPU when a GPU was asked for.")
]
ModelFile = Annotated[
    Path | None,
    typer.Option("--model", metavar="FILE|RUN", help="An .onnx file, or an exported run. Default: the latest export."),
]
