"""Parameters of ``infer``."""

from __future__ import annotations

from typing import Annotated, Literal

import typer

from clsbench.cli import completion

#: Headings of `infer --help`.
IMAGES, FILE, JOB, RUN = "Images and labels", "Predictions file", "Parts of a job", "How it runs"

Images = Annotated[
    list[str] | None,
    typer.Argument(
        metavar="IMAGES",
        help="Folders, images, archives (.tar, .zip), lists (.txt, .csv, …; - for stdin), URLs, quoted patterns.",
    ),
]
Out = Annotated[
    str | None,
    typer.Option(
        metavar="FILE",
        help="Where to write the predictions: .csv, .jsonl, .parquet, or - for stdout.",
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
DatasetName = Annotated[
    str | None,
    typer.Option(
        metavar="NAME",
        help="Read IMAGES as this kind of dataset, with its labels: regex, csv, …",
        autocompletion=completion.datasets,
        rich_help_panel=IMAGES,
    ),
]
SplitName = Annotated[
    Literal["train", "val", "test"] | None,
    typer.Option(help="The split of --dataset. Default: all of it.", rich_help_panel=IMAGES),
]
LabelFile = Annotated[
    str | None,
    typer.Option(
        metavar="FILE.csv",
        help="File of labels (path,label), or `none` for no labels. Default: the class folders.",
        rich_help_panel=IMAGES,
    ),
]
UnknownLabels = Annotated[
    Literal["error", "ignore"],
    typer.Option(help="What to do with labels the model does not know.", rich_help_panel=IMAGES),
]
Include = Annotated[
    list[str] | None,
    typer.Option(
        metavar="GLOB",
        help="Only images whose names match: '*.jpg', cats, '2024/**/*.png'. Repeatable.",
        rich_help_panel=IMAGES,
    ),
]
Exclude = Annotated[
    list[str] | None,
    typer.Option(metavar="GLOB", help="Leave out images whose names match. Repeatable.", rich_help_panel=IMAGES),
]
TopK = Annotated[
    int, typer.Option(min=0, metavar="K", help="Write columns for the K best classes.", rich_help_panel=FILE)
]
Probabilities = Annotated[
    bool,
    typer.Option("--probabilities", help="Write a column p:CLASS for every class, for evaluate.", rich_help_panel=FILE),
]
WrittenColumns = Annotated[
    str | None,
    typer.Option(
        metavar="NAME,NAME,…",
        help="The columns to write, in this order: path and others. Default: all.",
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
BackendName = Annotated[str, typer.Option(metavar="NAME", help="The inference engine.", rich_help_panel=RUN)]
ExecutorName = Annotated[
    str,
    typer.Option(
        metavar="NAME", help="The executor that runs the job: threads, serial or one of a plugin.", rich_help_panel=RUN
    ),
]
BatchSize = Annotated[
    int | None,
    typer.Option(min=1, metavar="N", help="Number of images per call. Default: chosen by --tune.", rich_help_panel=RUN),
]
Streams = Annotated[
    int | None,
    typer.Option(
        min=1, metavar="N", help="Number of concurrent calls. Default: chosen by --tune.", rich_help_panel=RUN
    ),
]
Threads = Annotated[
    int | None,
    typer.Option(
        min=1, metavar="N", help="Number of threads per call. Default: chosen by --tune.", rich_help_panel=RUN
    ),
]
Tune = Annotated[
    Literal["off", "quick", "full"],
    typer.Option(help="Measure how to run the model; kept for later runs.", rich_help_panel=RUN),
]
FastDecode = Annotated[
    bool,
    typer.Option(
        "--fast-decode", help="Decode large JPEGs at reduced size: faster, not the same pixels.", rich_help_panel=IMAGES
    ),
]
MaxPixels = Annotated[
    int | None,
    typer.Option(min=1, metavar="N", help="Do not decode larger images. Default: 178956970.", rich_help_panel=IMAGES),
]
Decoders = Annotated[
    list[str] | None,
    typer.Option(
        "--decoder", metavar="NAME", help="A decoder to try before the built-in ones.", rich_help_panel=IMAGES
    ),
]
OnError = Annotated[
    Literal["row", "fail"],
    typer.Option(
        help="An image that cannot be classified is a row with the reason, or ends the job.", rich_help_panel=IMAGES
    ),
]
MaxFailureRate = Annotated[
    float | None,
    typer.Option(
        min=0,
        max=1,
        metavar="SHARE",
        help="Exit with 3 if more images than this share cannot be classified: 0.01.",
        rich_help_panel=IMAGES,
    ),
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
