"""Options of ``infer`` about what it leaves behind."""

from __future__ import annotations

from typing import Annotated

import typer

Overwrite = Annotated[bool, typer.Option("--overwrite", help="Replace the file of --out, if it is there already.")]
WrittenColumns = Annotated[
    str | None,
    typer.Option(metavar="NAME,NAME,…", help="The columns to write, in this order: path and others. Default: all."),
]
EscapeFormulas = Annotated[
    bool,
    typer.Option(
        "--escape-formulas",
        help="CSV: put an apostrophe before texts that begin with = + - @, which a spreadsheet would run.",
    ),
]
Move = Annotated[
    str | None, typer.Option(metavar="INTO", help="Then move the images into class folders INTO/CLASS/NAME.")
]
Copy = Annotated[str | None, typer.Option(metavar="INTO", help="Then copy them there, also out of archives.")]
Link = Annotated[str | None, typer.Option(metavar="INTO", help="Then put symbolic links to them there.")]
