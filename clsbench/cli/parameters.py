"""Parameters that several commands share, with one wording each."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Literal

import typer

from clsbench.cli import completion

#: Headings of `train --help` that are not those of `training.config`.
DATA, MODEL, OUTPUT = "Data", "Network and recipe", "Output"

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
Data = Annotated[
    Path | None,
    typer.Argument(metavar="[DATA]", help="A folder of class folders, or a .csv file. Default: the embedded digits."),
]
DatasetName = Annotated[
    str | None,
    typer.Option(
        "--dataset",
        help="Kind of dataset, one of `clsbench datasets`. Default: chosen by DATA.",
        autocompletion=completion.datasets,
        rich_help_panel=DATA,
    ),
]
ModelName = Annotated[
    str,
    typer.Option(
        "--model",
        help="Model to use, one of `clsbench models`.",
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
    int | None,
    typer.Option(
        metavar="PIXELS",
        help="Side of the square images that the network takes. Default: the model's own, such as 224.",
        rich_help_panel=MODEL,
    ),
]
ValFraction = Annotated[
    float | None,
    typer.Option(
        help="Part of each class to set aside for validation if the data has no validation split. Default: 0.2.",
        rich_help_panel=DATA,
    ),
]
TestFraction = Annotated[
    float | None,
    typer.Option(help="Part of each class to set aside for a final test. Default: none.", rich_help_panel=DATA),
]
DataFraction = Annotated[
    float | None,
    typer.Option(
        help="Part of each class of the train split to train on, for a quick trial. Default: 1.",
        rich_help_panel=DATA,
    ),
]
StrictData = Annotated[
    bool,
    typer.Option("--strict-data", help="Refuse to train if the data check finds anything.", rich_help_panel=DATA),
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
Seed = Annotated[int, typer.Option(help="Random seed for the splits and for choosing images to draw.")]
Device = Annotated[
    str,
    typer.Option(
        help="Device to run on: auto, cpu, cuda[:i,j] or tensorrt[:i,j]; an error if a named one cannot be used."
    ),
]
AllowFallback = Annotated[
    bool, typer.Option("--allow-fallback", help="Let parts of the network run on the CPU when a GPU was asked for.")
]
ModelFile = Annotated[
    Path | None, typer.Option("--model", metavar="FILE", help="An exported .onnx file. Default: the latest export.")
]
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
    typer.Option(
        "--model", metavar="FILE.onnx", help="Model of --explain. Default: the one that made the predictions."
    ),
]
Predictions = Annotated[
    Path, typer.Argument(metavar="PREDS", help="Predictions as infer writes them: .csv, .jsonl or .parquet.")
]
Top = Annotated[
    int,
    typer.Option(min=1, help="Number of rows of the tables whose first rows matter most, such as confused pairs."),
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
    list[str] | None,
    typer.Option("--metric", help="A metric in addition to the built-in ones.", autocompletion=completion.metrics),
]
MinCount = Annotated[
    int | None,
    typer.Option(
        min=1, help="Smallest number of images of a confused pair to list; the same as --with confusion.min_count=N."
    ),
]


def with_min_count(options: list[str] | None, min_count: int | None) -> list[str]:
    """The options of metrics, ``--min-count`` among them."""
    return [*([f"confusion.min_count={min_count}"] if min_count else []), *(options or ())]


def with_top(options: list[str], top: int) -> list[str]:
    """The options of metrics that list enough for ``--top``; less than they list by default changes nothing."""
    limits = {"confusion": 200, "top-losses": 100, "label-errors": 100}
    return [*(f"{name}.limit={top}" for name, limit in limits.items() if top > limit), *options]
