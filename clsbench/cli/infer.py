"""``clsbench infer``: images and a model file in, predictions out."""

from __future__ import annotations

from typing import Annotated, Literal

import typer

from clsbench.cli import completion
from clsbench.cli.evaluation_parameters import Metrics
from clsbench.cli.parameters import AllowFallback, Device, Json, ModelFile, Quiet, With
from clsbench.text import counted


def infer(
    images: Annotated[
        list[str] | None,
        typer.Argument(
            metavar="IMAGES",
            help="Folders, images, archives (.tar, .zip), lists (.txt, .csv, …; - for stdin), URLs, quoted patterns.",
        ),
    ] = None,
    out: Annotated[
        str | None,
        typer.Option(metavar="FILE", help="Where to write the predictions: .csv, .jsonl, .parquet, or - for stdout."),
    ] = None,
    format: Annotated[
        str | None,
        typer.Option(metavar="NAME", help="Format of the predictions. Default: the suffix of --out, csv on stdout."),
    ] = None,
    model: ModelFile = None,
    dataset: Annotated[
        str | None,
        typer.Option(
            metavar="NAME",
            help="Read IMAGES as this kind of dataset, with its labels: regex, csv, …",
            autocompletion=completion.datasets,
        ),
    ] = None,
    split: Annotated[
        Literal["train", "val", "test"] | None, typer.Option(help="The split of --dataset. Default: all of it.")
    ] = None,
    labels: Annotated[
        str | None,
        typer.Option(
            metavar="FILE.csv", help="File of labels (path,label), or `none` for no labels. Default: the class folders."
        ),
    ] = None,
    unknown_labels: Annotated[
        Literal["error", "ignore"], typer.Option(help="What to do with labels the model does not know.")
    ] = "error",
    include: Annotated[
        list[str] | None,
        typer.Option(metavar="GLOB", help="Only images whose names match: '*.jpg', cats, '2024/**/*.png'. Repeatable."),
    ] = None,
    exclude: Annotated[
        list[str] | None, typer.Option(metavar="GLOB", help="Leave out images whose names match. Repeatable.")
    ] = None,
    topk: Annotated[int, typer.Option(min=0, metavar="K", help="Write columns for the K best classes.")] = 0,
    probabilities: Annotated[
        bool, typer.Option("--probabilities", help="Write a column p:CLASS for every class, for evaluate.")
    ] = False,
    device: Device = "auto",
    allow_fallback: AllowFallback = False,
    backend: Annotated[str, typer.Option(metavar="NAME", help="The inference engine.")] = "onnxruntime",
    executor: Annotated[
        str, typer.Option(metavar="NAME", help="The executor that runs the job: threads, serial or one of a plugin.")
    ] = "threads",
    batch_size: Annotated[
        int | None, typer.Option(min=1, metavar="N", help="Number of images per call. Default: chosen by --tune.")
    ] = None,
    streams: Annotated[
        int | None, typer.Option(min=1, metavar="N", help="Number of concurrent calls. Default: chosen by --tune.")
    ] = None,
    threads: Annotated[
        int | None, typer.Option(min=1, metavar="N", help="Number of threads per call. Default: chosen by --tune.")
    ] = None,
    tune: Annotated[
        Literal["off", "quick", "full"], typer.Option(help="Measure how to run the model; kept for later runs.")
    ] = "quick",
    fast_decode: Annotated[
        bool, typer.Option("--fast-decode", help="Decode large JPEGs at reduced size: faster, not the same pixels.")
    ] = False,
    decoders: Annotated[
        list[str] | None, typer.Option("--decoder", metavar="NAME", help="A decoder to try before the built-in ones.")
    ] = None,
    metrics: Metrics = None,
    options: With = None,
    json: Json = None,
    quiet: Quiet = False,
) -> None:
    """Classify images; each gets a row, readable or not. `clsbench predict` is the same.

    An image is named by its path below the one folder that was given; of several locations, or a pattern, by its
    path as it was given. Names are unique, and labels and reports find the images by them.
    """
    from clsbench.api.infer import infer as run_job
    from clsbench.cli.infer_report import print_result
    from clsbench.cli.terminal import Terminal

    terminal = Terminal(json=json, quiet=quiet, streaming=out == "-")
    target = terminal.stream if out == "-" else out
    with terminal.observer() as observer:
        result = run_job(
            images[0] if images and len(images) == 1 else images, dataset=dataset, split=split, model=model,
            out=target, format=format, labels=labels, unknown_labels=unknown_labels, include=include or (),
            exclude=exclude or (), topk=topk, probabilities=probabilities, device=device,
            allow_fallback=allow_fallback, backend=backend, executor=executor, batch_size=batch_size,
            streams=streams, threads=threads, tune=tune, fast_decode=fast_decode, decoders=decoders or (),
            metrics=metrics or (), options=options or (), keep_rows=False, observer=observer,
        )  # fmt: skip
    print_result(terminal, result, saved=out is not None, asked=bool(metrics))
    terminal.write_json(result.to_json())
    counts = result.counts
    if counts.errors == counts.total:
        terminal.warn(f"none of {counted(counts.total or 0, 'image')} could be classified: {result.first_error}")
        raise typer.Exit(3)
