"""``clsbench infer``: images and a model file in, predictions out."""

from __future__ import annotations

import typer

from clsbench.cli import infer_parameters as given
from clsbench.cli import predictions_parameters as written
from clsbench.cli.evaluation_parameters import Metrics
from clsbench.cli.parameters import AllowFallback, Device, Json, ModelFile, Quiet, With
from clsbench.cli.usage import GeneralCommand


def infer(
    images: given.Images = None,
    out: written.Out = None,
    format: written.Format = None,
    model: ModelFile = None,
    dataset: given.DatasetName = None,
    split: given.SplitName = None,
    labels: given.LabelFile = None,
    unknown_labels: given.UnknownLabels = "error",
    include: given.Include = None,
    exclude: given.Exclude = None,
    topk: written.TopK = 0,
    probabilities: written.Probabilities = False,
    features: written.WithFeatures = False,
    columns: written.WrittenColumns = None,
    escape_formulas: written.EscapeFormulas = False,
    abstain_below: written.AbstainBelow = None,
    move: written.Move = None,
    copy: written.Copy = None,
    link: written.Link = None,
    device: Device = "auto",
    allow_fallback: AllowFallback = False,
    backend: given.BackendName = "onnxruntime",
    executor: given.ExecutorName = "threads",
    batch_size: given.BatchSize = None,
    streams: given.Streams = None,
    threads: given.Threads = None,
    tune: given.Tune = "quick",
    fast_decode: given.FastDecode = "auto",
    max_pixels: given.MaxPixels = None,
    decoders: given.Decoders = None,
    metrics: Metrics = None,
    on_error: given.OnError = "row",
    max_failure_rate: given.MaxFailureRate = None,
    shard: written.ShardText = None,
    resume: written.Resume = False,
    restart: written.Restart = False,
    overwrite: written.Overwrite = False,
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
            features=features, columns=columns or (), escape_formulas=escape_formulas, abstain_below=abstain_below,
            move=move, copy=copy, link=link, device=device, allow_fallback=allow_fallback, backend=backend,
            executor=executor, batch_size=batch_size, streams=streams, threads=threads, tune=tune,
            fast_decode="auto" if fast_decode == "auto" else fast_decode == "on",
            max_pixels=max_pixels, decoders=decoders or (), metrics=metrics or (),
            options=options or (), keep_rows=False, on_error=on_error, max_failure_rate=max_failure_rate,
            shard=shard, resume=resume, restart=restart, overwrite=overwrite, observer=observer,
        )  # fmt: skip
    print_result(terminal, result, saved=out is not None, asked=bool(metrics))
    terminal.write_json(result.to_json())
    if not result.within_budget:
        terminal.warn(f"{result.code} {over_budget(result)}")
        raise typer.Exit(3)


infer.command_class = GeneralCommand  # type: ignore[attr-defined]
