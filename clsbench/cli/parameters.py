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
        help="An option of a component, such as model.width=64 or confusion.min_count=5.",
    ),
]
Json = Annotated[str | None, typer.Option("--json", metavar="FILE", help="Write the same facts as JSON; - for stdout.")]
Quiet = Annotated[bool, typer.Option("--quiet", "-q", help="No progress and no notes on stderr.")]
Data = Annotated[
    Path | None,
    typer.Argument(metavar="[DATA]", help="A folder of class folders, or a .csv; the digits if left out."),
]
DatasetName = Annotated[
    str | None, typer.Option("--dataset", help="One of `clsbench datasets`; chosen by DATA if left out.")
]
ModelName = Annotated[str, typer.Option("--model", help="One of `clsbench models`.")]
Pretrained = Annotated[bool, typer.Option("--pretrained", help="Start from published weights.")]
Weights = Annotated[Path | None, typer.Option("--weights", metavar="FILE", help="Start from a local weights file.")]
ValFraction = Annotated[
    float | None,
    typer.Option(help="The part of each class set aside where no validation split is given; 0.2."),
]
TestFraction = Annotated[
    float | None, typer.Option(help="The part of each class set aside for a final test; none if left out.")
]
Folds = Annotated[int | None, typer.Option(metavar="K", help="Split training images K ways, one of them to validate.")]
Fold = Annotated[int | None, typer.Option(metavar="I", help="With --folds: which one validates, from 1 to K.")]
Seed = Annotated[int, typer.Option(help="Random seed for splits, and for what is drawn.")]
Device = Annotated[
    str, typer.Option(help="auto, cpu, cuda[:i,j] or tensorrt[:i,j]; a named device is used, or it is an error.")
]
AllowFallback = Annotated[
    bool, typer.Option("--allow-fallback", help="Accept parts of the network on the CPU where a GPU was asked for.")
]
ModelFile = Annotated[
    Path | None, typer.Option("--model", metavar="FILE", help="An exported .onnx; the latest by default.")
]
Predictions = Annotated[
    Path, typer.Argument(metavar="PREDS", help="Predictions as infer writes them: .csv, .jsonl or .parquet.")
]
LabelsFile = Annotated[
    Path | None, typer.Option("--labels", metavar="FILE.csv", help="Labels (path,label) instead of the file's.")
]
Columns = Annotated[
    str | None,
    typer.Option("--columns", metavar="OURS=THEIRS,…", help="A foreign file's columns: path=file,predicted=pred."),
]
Images = Annotated[
    Path | None, typer.Option("--images", metavar="ROOT", help="The folder that the paths are relative to.")
]
Metrics = Annotated[list[str] | None, typer.Option("--metric", help="A metric beside the built-in ones.")]
MinCount = Annotated[
    int | None, typer.Option(min=1, help="Least number of images of a confused pair; short for confusion.min_count.")
]


def with_min_count(options: list[str] | None, min_count: int | None) -> list[str]:
    """The options of metrics, ``--min-count`` among them."""
    return [*([f"confusion.min_count={min_count}"] if min_count else []), *(options or ())]
