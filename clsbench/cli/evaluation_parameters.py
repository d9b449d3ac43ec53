"""Parameters of the commands that judge predictions."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Literal

import typer

from clsbench.cli import completion

Explain = Annotated[
    bool,
    typer.Option("--explain", help="Draw heatmaps of where a prediction comes from: CAM if the file allows it."),
]
ExplainBy = Annotated[
    Literal["auto", "cam", "occlusion", "rise"] | None,
    typer.Option(help="Method of the heatmaps; implies --explain. Costs 1, 170 or 1,001 runs of the model an image."),
]
ExplainModel = Annotated[
    Path | None,
    typer.Option("--model", metavar="FILE|RUN", help="Model of --explain. Default: the one that made the predictions."),
]
Predictions = Annotated[
    Path, typer.Argument(metavar="PREDS", help="Predictions as infer writes them: .csv, .jsonl or .parquet.")
]
Top = Annotated[
    int,
    typer.Option(
        min=1, metavar="N", help="Number of rows of the tables whose first rows matter most, such as confused pairs."
    ),
]
LabelsFile = Annotated[
    Path | None,
    typer.Option(
        "--labels", metavar="FILE.csv", help="File of labels (path,label) to use instead of those in the predictions."
    ),
]
Columns = Annotated[
    str | None,
    typer.Option(
        "--columns",
        metavar="OURS=THEIRS,…",
        help="Column names of a file from another tool, such as path=file,predicted=pred.",
    ),
]
Images = Annotated[
    str | None,
    typer.Option("--images", metavar="ROOT", help="Folder that the paths are relative to; or the archive or URL."),
]
Metrics = Annotated[
    list[str] | None,
    typer.Option(
        "--metric",
        metavar="NAME",
        help="A metric in addition to the built-in ones.",
        autocompletion=completion.metrics,
    ),
]
MinCount = Annotated[
    int | None,
    typer.Option(
        min=1,
        metavar="N",
        help="Smallest number of images of a confused pair to list; the same as --with confusion.min_count=N.",
    ),
]


def with_min_count(options: list[str] | None, min_count: int | None) -> list[str]:
    """The options of metrics, ``--min-count`` among them.

    Raises:
        OptionError: if ``--with`` sets it too.
    """
    from clsbench.errors import OptionError

    twice = [option for option in options or () if option.replace("-", "_").startswith("confusion.min_count=")]
    if min_count and twice:
        raise OptionError(
            "the smallest count is given twice", where="--min-count", got=f"{min_count} and --with {twice[0]}",
            hint="leave one of them out",
        )  # fmt: skip
    return [*([f"confusion.min_count={min_count}"] if min_count else []), *(options or ())]


def with_top(options: list[str], top: int) -> list[str]:
    """The options of metrics that list enough for ``--top``; less than they list by default changes nothing."""
    limits = {"confusion": 200, "top-losses": 100, "label-errors": 100}
    return [*(f"{name}.limit={top}" for name, limit in limits.items() if top > limit), *options]
