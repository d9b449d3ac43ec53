"""Parameters of ``infer``: its images, and how the model runs."""

from __future__ import annotations

from typing import Annotated, Literal

import typer

from clsbench.cli import completion

#: Headings of `infer --help`.
IMAGES, RUN = "Images and labels", "How it runs"

Images = Annotated[
    list[str] | None,
    typer.Argument(
        metavar="IMAGES",
        help="Folders, images, archives (.tar, .zip), lists (.txt, .csv, …; - for stdin), URLs, quoted patterns.",
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
BackendName = Annotated[
    str,
    typer.Option(
        metavar="NAME",
        help="Backend, with options as in openvino:precision=bf16; auto: the fastest that agrees.",
        rich_help_panel=RUN,
    ),
]
ExecutorName = Annotated[
    str,
    typer.Option(metavar="NAME", help="The executor: threads, serial or one of a plugin.", rich_help_panel=RUN),
]
BatchSize = Annotated[
    int | None,
    typer.Option(min=1, metavar="N", help="Number of images per call. Default: chosen by --tune.", rich_help_panel=RUN),
]
Streams = Annotated[
    int | None,
    typer.Option(min=1, metavar="N", help="Number of calls at once. Default: chosen by --tune.", rich_help_panel=RUN),
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
    Literal["auto", "on", "off"],
    typer.Option(
        help="Decode large JPEGs at reduced size: faster, not the same pixels. auto: where a sample keeps its labels.",
        rich_help_panel=IMAGES,
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
