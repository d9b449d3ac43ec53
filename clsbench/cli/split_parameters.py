"""Parameters of the commands that split labelled images."""

from __future__ import annotations

from typing import Annotated

import typer

from clsbench.cli import completion
from clsbench.cli.parameters import DATA

ValFraction = Annotated[
    float | None,
    typer.Option(
        metavar="FRACTION",
        help="Part of each class to set aside for validation if the data has no validation split. Default: 0.2.",
        rich_help_panel=DATA,
    ),
]
TestFraction = Annotated[
    float | None,
    typer.Option(
        metavar="FRACTION",
        help="Part of each class to set aside for a final test. Default: none.",
        rich_help_panel=DATA,
    ),
]
DataFraction = Annotated[
    float | None,
    typer.Option(
        metavar="FRACTION",
        help="Part of each class of the train split to train on, for a quick trial. Default: 1.",
        rich_help_panel=DATA,
    ),
]
StrictData = Annotated[
    bool,
    typer.Option("--strict-data", help="Refuse to train if the data check finds anything.", rich_help_panel=DATA),
]
Ignore = Annotated[
    list[str] | None,
    typer.Option(
        metavar="CODE",
        help="Accept what the data check finds under this code or name, such as CB-D003 or tiny-class: not told, not "
        "refused, recorded as ignored. May be repeated; `clsbench --code CB-D` lists them.",
        autocompletion=completion.findings,
        rich_help_panel=DATA,
    ),
]
Folds = Annotated[
    int | None,
    typer.Option(
        metavar="K",
        help="Split the training images into K folds, and validate on one of them.",
        rich_help_panel=DATA,
    ),
]
Fold = Annotated[
    int | None,
    typer.Option(metavar="I", help="The fold of --folds to validate on, from 1 to K.", rich_help_panel=DATA),
]
Group = Annotated[
    str | None,
    typer.Option(
        metavar="REGEX|COLUMN",
        help="What belongs together and stays on one side of every split: a column of a CSV dataset, or a regular "
        "expression for names, such as '([^/]+)_frame' for frames of one video.",
        rich_help_panel=DATA,
    ),
]
