"""Parameters of ``infer``."""

from __future__ import annotations

from typing import Annotated, Literal

import typer

from clsbench.cli import completion

Images = Annotated[
    list[str] | None,
    typer.Argument(
        metavar="IMAGES",
        help="Folders, images, archives (.tar, .zip), lists (.txt, .csv, …; - for stdin), URLs, quoted patterns.",
    ),
]
Out = Annotated[
    str | None,
    typer.Option(metavar="FILE", help="Where to write the predictions: .csv, .jsonl, .parquet, or - for stdout."),
]
Format = Annotated[
    str | None,
    typer.Option(metavar="NAME", help="Format of the predictions. Default: the suffix of --out, csv on stdout."),
]
DatasetName = Annotated[
    str | None,
    typer.Option(
        metavar="NAME",
        help="Read IMAGES as this kind of dataset, with its labels: regex, csv, …",
        autocompletion=completion.datasets,
    ),
]
SplitName = Annotated[
    Literal["train", "val", "test"] | None, typer.Option(help="The split of --dataset. Default: all of it.")
]
LabelFile = Annotated[
    str | None,
    typer.Option(
        metavar="FILE.csv", help="File of labels (path,label), or `none` for no labels. Default: the class folders."
    ),
]
UnknownLabels = Annotated[
    Literal["error", "ignore"], typer.Option(help="What to do with labels the model does not know.")
]
Include = Annotated[
    list[str] | None,
    typer.Option(metavar="GLOB", help="Only images whose names match: '*.jpg', cats, '2024/**/*.png'. Repeatable."),
]
Exclude = Annotated[
    list[str] | None, typer.Option(metavar="GLOB", help="Leave out images whose names match. Repeatable.")
]
TopK = Annotated[int, typer.Option(min=0, metavar="K", help="Write columns for the K best classes.")]
Probabilities = Annotated[
    bool, typer.Option("--probabilities", help="Write a column p:CLASS for every class, for evaluate.")
]
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
BackendName = Annotated[str, typer.Option(metavar="NAME", help="The inference engine.")]
ExecutorName = Annotated[
    str, typer.Option(metavar="NAME", help="The executor that runs the job: threads, serial or one of a plugin.")
]
BatchSize = Annotated[
    int | None, typer.Option(min=1, metavar="N", help="Number of images per call. Default: chosen by --tune.")
]
Streams = Annotated[
    int | None, typer.Option(min=1, metavar="N", help="Number of concurrent calls. Default: chosen by --tune.")
]
Threads = Annotated[
    int | None, typer.Option(min=1, metavar="N", help="Number of threads per call. Default: chosen by --tune.")
]
Tune = Annotated[
    Literal["off", "quick", "full"], typer.Option(help="Measure how to run the model; kept for later runs.")
]
FastDecode = Annotated[
    bool, typer.Option("--fast-decode", help="Decode large JPEGs at reduced size: faster, not the same pixels.")
]
MaxPixels = Annotated[
    int | None, typer.Option(min=1, metavar="N", help="Do not decode larger images. Default: 178956970.")
]
Decoders = Annotated[
    list[str] | None, typer.Option("--decoder", metavar="NAME", help="A decoder to try before the built-in ones.")
]
OnError = Annotated[
    Literal["row", "fail"],
    typer.Option(help="An image that cannot be classified is a row with the reason, or ends the job."),
]
MaxFailureRate = Annotated[
    float | None,
    typer.Option(
        min=0, max=1, metavar="SHARE", help="Exit with 3 if more images than this share cannot be classified: 0.01."
    ),
]
ShardText = Annotated[
    str | None,
    typer.Option("--shard", metavar="I/N", help="Classify only this part of the images; `merge` joins the files."),
]
Resume = Annotated[bool, typer.Option("--resume", help="Continue the interrupted or killed job of --out.")]
Restart = Annotated[bool, typer.Option("--restart", help="Begin the unfinished job of --out anew.")]
Overwrite = Annotated[bool, typer.Option("--overwrite", help="Replace --out if it is there already.")]
