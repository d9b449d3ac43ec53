"""Parameters that several commands share, with one wording each."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

With = Annotated[
    list[str] | None,
    typer.Option("--with", metavar="KIND.KEY=VALUE", help="An option of a plugin, such as model.width=64."),
]
Json = Annotated[str | None, typer.Option("--json", metavar="FILE", help="Write the same facts as JSON; - for stdout.")]
Quiet = Annotated[bool, typer.Option("--quiet", "-q", help="No progress and no notes on stderr.")]
ValFraction = Annotated[
    float, typer.Option(help="The part of each class set aside where no validation split is given.")
]
Seed = Annotated[int, typer.Option(help="Of splits, weights, order and augmentation.")]
Device = Annotated[
    str, typer.Option(help="auto, cpu, cuda[:i,j] or tensorrt[:i,j]; a named device is used, or it is an error.")
]
AllowFallback = Annotated[
    bool, typer.Option("--allow-fallback", help="Accept parts of the network on the CPU where a GPU was asked for.")
]
ModelFile = Annotated[
    Path | None, typer.Option("--model", metavar="FILE", help="An exported .onnx; the latest by default.")
]
