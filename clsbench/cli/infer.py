"""``clsbench infer``: images and a model file in, a predictions file and three tables out."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Literal

import typer

from clsbench.cli.parameters import AllowFallback, Device, Json, ModelFile, Quiet, With
from clsbench.text import counted


def infer(
    images: Annotated[str, typer.Argument(metavar="IMAGES", help="A folder of images, or one image.")],
    out: Annotated[
        Path | None, typer.Option(metavar="FILE", help="Where to write the predictions: .csv, .jsonl or .parquet.")
    ] = None,
    model: ModelFile = None,
    labels: Annotated[
        str | None,
        typer.Option(
            metavar="FILE.csv", help="File of labels (path,label), or `none` for no labels. Default: the class folders."
        ),
    ] = None,
    unknown_labels: Annotated[
        Literal["error", "ignore"], typer.Option(help="What to do with labels the model does not know.")
    ] = "error",
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
    metrics: Annotated[
        list[str] | None, typer.Option("--metric", metavar="NAME", help="A metric in addition to the built-in ones.")
    ] = None,
    options: With = None,
    json: Json = None,
    quiet: Quiet = False,
) -> None:
    """Classify every image of a folder; each gets a row, readable or not."""
    from clsbench.api.infer import infer as run_job
    from clsbench.cli.infer_report import print_result
    from clsbench.cli.terminal import Terminal

    terminal = Terminal(json=json, quiet=quiet)
    with terminal.observer() as observer:
        result = run_job(
            images, model=model, out=out, labels=labels, unknown_labels=unknown_labels, topk=topk,
            probabilities=probabilities, device=device, allow_fallback=allow_fallback, backend=backend,
            executor=executor, batch_size=batch_size, streams=streams, threads=threads, tune=tune,
            fast_decode=fast_decode, decoders=decoders or (), metrics=metrics or (), options=options or (),
            keep_rows=False, observer=observer,
        )  # fmt: skip
    print_result(terminal, result)
    terminal.write_json(result.to_json())
    counts = result.counts
    if counts.errors == counts.total:
        terminal.warn(f"none of {counted(counts.total or 0, 'image')} could be classified: {result.first_error}")
        raise typer.Exit(3)
