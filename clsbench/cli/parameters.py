"""Parameters that several commands share, with one wording each."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

With = Annotated[
    list[str] | None,
    typer.Option(
        "--with",
        metavar="NAME.KEY=VALUE",
        help="Set an option of a component, such as model.width=64 or confusion.min_count=5.",
    ),
]
Json = Annotated[
    str | None,
    typer.Option("--json", metavar="FILE", help="Write the results as JSON to this file, or to stdout with -."),
]
Quiet = Annotated[bool, typer.Option("--quiet", "-q", help="Write no progress and no notes to stderr.")]
Data = Annotated[
    Path | None,
    typer.Argument(metavar="DATA", help="A folder of class folders, or a .csv file. Default: the embedded digits."),
]
DatasetName = Annotated[
    str | None,
    typer.Option(
        "--dataset", metavar="NAME", help="Kind of dataset, one of `clsbench datasets`. Default: chosen by DATA."
    ),
]
ModelName = Annotated[str, typer.Option("--model", metavar="NAME", help="Model to use, one of `clsbench models`.")]
Pretrained = Annotated[bool, typer.Option("--pretrained", help="Start from published weights.")]
Weights = Annotated[Path | None, typer.Option("--weights", metavar="FILE", help="Start from a local weights file.")]
ValFraction = Annotated[
    float | None,
    typer.Option(
        metavar="FRACTION",
        help="Part of each class to set aside for validation if the data has no validation split. Default: 0.2.",
    ),
]
TestFraction = Annotated[
    float | None,
    typer.Option(metavar="FRACTION", help="Part of each class to set aside for a final test. Default: none."),
]
Folds = Annotated[
    int | None, typer.Option(metavar="K", help="Split the training images into K folds, and validate on one of them.")
]
Fold = Annotated[int | None, typer.Option(metavar="I", help="The fold of --folds to validate on, from 1 to K.")]
Seed = Annotated[int, typer.Option(metavar="N", help="Random seed for the splits and for choosing images to draw.")]
Device = Annotated[
    str,
    typer.Option(
        metavar="DEVICE",
        help="Device to run on: auto, cpu, cuda[:i,j] or tensorrt[:i,j]; an error if a named one cannot be used.",
    ),
]
AllowFallback = Annotated[
    bool, typer.Option("--allow-fallback", help="Let parts of the network run on the CPU when a GPU was asked for.")
]
ModelFile = Annotated[
    Path | None, typer.Option("--model", metavar="FILE", help="An exported .onnx file. Default: the latest export.")
]
Predictions = Annotated[
    Path, typer.Argument(metavar="PREDS", help="Predictions as infer writes them: .csv, .jsonl or .parquet.")
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
Images = Annotated[Path | None, typer.Option("--images", metavar="ROOT", help="Folder that the paths are relative to.")]
Metrics = Annotated[
    list[str] | None, typer.Option("--metric", metavar="NAME", help="A metric in addition to the built-in ones.")
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
