"""Parameters of ``infer`` about the predictions file, and about parts of a job."""

from __future__ import annotations

from typing import Annotated

import typer

#: Headings of `infer --help`.
FILE, JOB = "Predictions file", "Parts of a job"

Out = Annotated[
    str | None,
    typer.Option(
        metavar="FILE",
        help="Where to write the predictions: .csv, .jsonl, .parquet, a folder/ of Parquet parts, or - for stdout.",
        rich_help_panel=FILE,
    ),
]
Format = Annotated[
    str | None,
    typer.Option(
        metavar="NAME",
        help="Format of the predictions. Default: the suffix of --out, csv on stdout.",
        rich_help_panel=FILE,
    ),
]
TopK = Annotated[
    int, typer.Option(min=0, metavar="K", help="Write columns for the K best classes.", rich_help_panel=FILE)
]
Probabilities = Annotated[
    bool,
    typer.Option("--probabilities", help="Write a column p:CLASS for every class, for evaluate.", rich_help_panel=FILE),
]
WithFeatures = Annotated[
    bool,
    typer.Option(
        "--features",
        help="Write what goes into the network's head: a Parquet column, or FILE.features.npy beside --out.",
        rich_help_panel=FILE,
    ),
]
WrittenColumns = Annotated[
    str | None,
    typer.Option(
        metavar="NAME,NAME,…",
        help="The columns to write, in this order: path and others. Default: all.",
        rich_help_panel=FILE,
    ),
]
AbstainBelow = Annotated[
    float | None,
    typer.Option(
        metavar="CONFIDENCE",
        help="Mark predictions of a lower confidence in a column abstained. Default: the model's threshold, if any.",
        rich_help_panel=FILE,
    ),
]
EscapeFormulas = Annotated[
    bool,
    typer.Option(
        "--escape-formulas",
        help="CSV: put an apostrophe before texts that begin with = + - @, which a spreadsheet would run.",
        rich_help_panel=FILE,
    ),
]
Move = Annotated[
    str | None,
    typer.Option(metavar="INTO", help="Then move the images into class folders INTO/CLASS/NAME.", rich_help_panel=FILE),
]
Copy = Annotated[
    str | None, typer.Option(metavar="INTO", help="Then copy them there, also out of archives.", rich_help_panel=FILE)
]
Link = Annotated[
    str | None, typer.Option(metavar="INTO", help="Then put symbolic links to them there.", rich_help_panel=FILE)
]
ShardText = Annotated[
    str | None,
    typer.Option(
        "--shard",
        metavar="I/N",
        help="Classify only this part of the images; `merge` joins the files.",
        rich_help_panel=JOB,
    ),
]
Resume = Annotated[
    bool, typer.Option("--resume", help="Continue the interrupted or killed job of --out.", rich_help_panel=JOB)
]
Restart = Annotated[
    bool, typer.Option("--restart", help="Begin the unfinished job of --out anew.", rich_help_panel=JOB)
]
Overwrite = Annotated[
    bool, typer.Option("--overwrite", help="Replace --out if it is there already.", rich_help_panel=FILE)
]
