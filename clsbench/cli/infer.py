"""``clsbench infer``: images and a model file in, predictions out."""

from __future__ import annotations

import typer

from clsbench.cli.evaluation_parameters import Metrics
from clsbench.cli.infer_parameters import (
    BackendName,
    BatchSize,
    Copy,
    DatasetName,
    Decoders,
    EscapeFormulas,
    Exclude,
    ExecutorName,
    FastDecode,
    Format,
    Images,
    Include,
    LabelFile,
    Link,
    MaxFailureRate,
    MaxPixels,
    Move,
    OnError,
    Out,
    Overwrite,
    Probabilities,
    Restart,
    Resume,
    ShardText,
    SplitName,
    Streams,
    Threads,
    TopK,
    Tune,
    UnknownLabels,
    WrittenColumns,
)
from clsbench.cli.parameters import AllowFallback, Device, Json, ModelFile, Quiet, With


def infer(
    images: Images = None,
    out: Out = None,
    format: Format = None,
    model: ModelFile = None,
    dataset: DatasetName = None,
    split: SplitName = None,
    labels: LabelFile = None,
    unknown_labels: UnknownLabels = "error",
    include: Include = None,
    exclude: Exclude = None,
    topk: TopK = 0,
    probabilities: Probabilities = False,
    columns: WrittenColumns = None,
    escape_formulas: EscapeFormulas = False,
    move: Move = None,
    copy: Copy = None,
    link: Link = None,
    device: Device = "auto",
    allow_fallback: AllowFallback = False,
    backend: BackendName = "onnxruntime",
    executor: ExecutorName = "threads",
    batch_size: BatchSize = None,
    streams: Streams = None,
    threads: Threads = None,
    tune: Tune = "quick",
    fast_decode: FastDecode = False,
    max_pixels: MaxPixels = None,
    decoders: Decoders = None,
    metrics: Metrics = None,
    on_error: OnError = "row",
    max_failure_rate: MaxFailureRate = None,
    shard: ShardText = None,
    resume: Resume = False,
    restart: Restart = False,
    overwrite: Overwrite = False,
    options: With = None,
    json: Json = None,
    quiet: Quiet = False,
) -> None:
    """Classify images; each gets a row, readable or not. `clsbench predict` is the same.

    An image is named by its path below the one folder that was given; of several locations, or a pattern, by its
    path as it was given. Names are unique, and labels and reports find the images by them.
    """
    from clsbench.api.infer import infer as run_job
    from clsbench.cli.infer_failures import over_budget
    from clsbench.cli.infer_report import print_result
    from clsbench.cli.terminal import Terminal

    terminal = Terminal(json=json, quiet=quiet, streaming=out == "-")
    target = terminal.stream if out == "-" else out
    with terminal.observer() as observer:
        result = run_job(
            images[0] if images and len(images) == 1 else images, dataset=dataset, split=split, model=model,
            out=target, format=format, labels=labels, unknown_labels=unknown_labels,
            include=include or (), exclude=exclude or (), topk=topk, probabilities=probabilities,
            columns=columns or (), escape_formulas=escape_formulas,
            move=move, copy=copy, link=link, device=device, allow_fallback=allow_fallback, backend=backend,
            executor=executor, batch_size=batch_size, streams=streams, threads=threads, tune=tune,
            fast_decode=fast_decode, max_pixels=max_pixels, decoders=decoders or (), metrics=metrics or (),
            options=options or (), keep_rows=False, on_error=on_error, max_failure_rate=max_failure_rate,
            shard=shard, resume=resume, restart=restart, overwrite=overwrite, observer=observer,
        )  # fmt: skip
    print_result(terminal, result, saved=out is not None, asked=bool(metrics))
    terminal.write_json(result.to_json())
    if not result.within_budget:
        terminal.warn(over_budget(result))
        raise typer.Exit(3)
