"""``infer``: images and a model file to predictions, one row for each image."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from contextlib import ExitStack, closing, nullcontext
from datetime import UTC, datetime
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any, BinaryIO, Literal

from clsbench.api.arguments import check_at_least, check_choice
from clsbench.api.components import Options, choose, metric_names, option_texts
from clsbench.api.labelled import Wanted
from clsbench.api.observer import Observer
from clsbench.api.outputs import check_output
from clsbench.api.sources import Images
from clsbench.api.trained_on import trained_on
from clsbench.errors import OptionError

if TYPE_CHECKING:
    from clsbench.card import ModelCard
    from clsbench.datasets.dataset import Dataset, Split
    from clsbench.datasets.labels import Labels
    from clsbench.images.sources.source import Source
    from clsbench.inference.job import Executor, JobSpec
    from clsbench.inference.result import InferenceResult, Tally

#: Jobs of fewer images use a measured plan only if there is one: measuring takes a second or two.
WORTH_TUNING = 1000

#: Formats that can be written to a stream.
STREAMED = ("csv", "jsonl")


def infer(
    images: Images | None = None,
    *,
    dataset: str | Dataset | None = None,
    split: Split | None = None,
    model: str | Path | None = None,
    out: str | Path | BinaryIO | None = None,
    format: str | None = None,
    labels: str | Path | None = None,
    unknown_labels: Literal["error", "ignore"] = "error",
    include: Sequence[str] = (),
    exclude: Sequence[str] = (),
    topk: int = 0,
    probabilities: bool = False,
    device: str = "auto",
    allow_fallback: bool = False,
    backend: str = "onnxruntime",
    executor: str = "threads",
    batch_size: int | None = None,
    streams: int | None = None,
    threads: int | None = None,
    tune: Literal["off", "quick", "full"] = "quick",
    fast_decode: bool = False,
    decoders: Sequence[str] = (),
    metrics: Sequence[str] = (),
    options: Options = (),
    keep_rows: bool = True,
    observer: Observer | None = None,
) -> InferenceResult:
    """Classify images; each gets a row, readable or not.

    Args:
        images: A folder, an image, a list of paths (.txt, .csv, .jsonl, .parquet), an archive (.tar, .zip), a URL of
            one of these, a pattern such as ``photos/*.jpg``, several of these, or what a source plugin opens;
            beside ``dataset`` its folder or file.
        dataset: Take images and labels from a dataset: the component, such as ``regex`` or ``csv``, or the dataset.
        split: Of the dataset; all of it if left out.
        model: An exported .onnx file; the latest export if left out.
        out: The predictions file, or an open binary stream, which stays open and gets no manifest.
        format: ``csv``, ``jsonl``, ``parquet`` or a plugin's; if left out the suffix of the file, ``csv`` of a stream.
        labels: A CSV file with the columns path and label; class folders if left out; ``"none"`` for no labels.
        unknown_labels: What to do with labels the model does not know.
        include, exclude: Patterns of names, such as ``*.jpg``, ``cats`` or ``2024/**/*.png``: an image must match one
            of the first, if there are any, and none of the second.
        topk: Columns for so many of the best classes.
        probabilities: A column for the probability of every class.
        device: ``auto``, ``cpu``, ``cuda[:i,j]`` or ``tensorrt[:i,j]``; a named device is used, or it is an error.
        allow_fallback: Accept parts of the network on the CPU where a GPU was asked for.
        backend: The inference engine.
        executor: What runs the job: ``threads``, ``serial`` or a plugin's.
        batch_size, streams, threads: How to run the model; chosen by ``tune`` if left out.
        tune: Whether to measure how to run the model, for jobs of 1,000 images or more.
        fast_decode: Decode large JPEGs at reduced size: faster, slightly different pixels.
        decoders: Decoders to try before the built-in ones.
        metrics: Metrics in addition to the built-in ones.
        options: Options of the components, such as ``{"writer.key": value}``.
        keep_rows: Whether the result keeps the rows, for ``to_arrow()``.
        observer: Hears notes, warnings and progress.

    Raises:
        OptionError: for unknown names or options, or options that contradict each other.
        DataError: if there are no images, or labels do not match the classes.
        ModelError: if the model file cannot be used.
        DeviceError: if the device cannot be used.
        PluginError: if a plugin is broken.
        BrokenPipeError: if nobody reads the stream any more.
    """
    from clsbench.images.decoders import formats_of
    from clsbench.images.sources.compact import entry_names
    from clsbench.images.sources.source import reading_threads
    from clsbench.inference.job import JobSpec
    from clsbench.inference.result import InferenceResult, Tally
    from clsbench.machine import available_cores
    from clsbench.predictions.arrow import ArrowCollector
    from clsbench.predictions.manifest import LabelOrigin, write_manifest
    from clsbench.predictions.metric import run_metrics

    observer = observer or Observer()
    target = Path(out) if isinstance(out, str | Path) else out
    file_out = target if isinstance(target, Path) else None
    wanted = Wanted(
        images, dataset=dataset, split=split, labels=labels, unknown=unknown_labels, include=include, exclude=exclude
    )
    check_choice("tune", tune, ("off", "quick", "full"))
    check_choice("unknown_labels", unknown_labels, ("error", "ignore"))
    check_at_least("topk", topk, 0)
    for name, value in {"batch_size": batch_size, "streams": streams, "threads": threads}.items():
        check_at_least(name, value, 1)
    if probabilities and target is None and not keep_rows:
        raise OptionError("probabilities are written to a file", where="--probabilities", hint="add --out FILE")
    own = metric_names("infer")
    picked = choose(
        {
            **wanted.components(),
            "backend": [backend],
            "executor": [executor],
            "writer": _writer_name(target, format),
            "decoder": decoders,
            "metric": [*own, *metrics],
        },
        options,
    )
    file, card = open_card(model, observer)
    if file_out and not (picked["writer"][0].resolved.owner and file_out.is_dir()):  # a plugin's may be one
        table = [Path(labels)] if labels and labels != "none" else []
        check_output(file_out, "--out", None, [file, *table], what="the predictions")
    readers = tuple(c.opener() for c in picked["decoder"])
    suffixes = {f".{name}" for opener in readers for name in formats_of(opener())}
    source, truth = wanted.open(picked, card, suffixes, observer)
    names = entry_names(source.entries)
    if truth.source is not None and (note := trained_on(file, source.location, names)):
        observer.warn(note)
    mode = "cached" if tune == "quick" and len(source.entries) < WORTH_TUNING else tune
    engine = picked["backend"][0].asked(streams=streams, threads=threads, allow_fallback=allow_fallback)
    spec = JobSpec(
        model=file,
        card=card,
        backend=engine.offered(batch_size=batch_size, tune=mode).opener(),
        device=device,
        decoders=readers,
        batch_size=batch_size,
        decode_threads=reading_threads(source.entries, available_cores()),
        fast_decode=fast_decode,
    )
    writers = [c.asked(probabilities=probabilities, topk=topk or None) for c in picked["writer"]]
    sinks: list[Callable[[], Any]] = [partial(w.build, target, card) for w in writers]
    rows = ArrowCollector(card.classes, topk=topk, probabilities=probabilities) if keep_rows else None
    tally, started = Tally(card.classes), datetime.now(UTC)
    metered = [(c.name, c.build()) for c in picked["metric"]]  # what cannot be built is known before the work
    runner: Executor = picked["executor"][0].build()
    _consume(runner, spec, source, truth, [*sinks, *([partial(nullcontext, rows)] if rows else [])], tally, observer)
    outcomes = tally.outcomes()
    measured = run_metrics(outcomes, metered)
    for name, reason in measured.errors.items():
        observer.warn(f"metric {name} failed: {reason}")
    assert runner.execution is not None
    result = InferenceResult(
        model=file,
        card=card,
        images=source.location,
        out=file_out,
        started=started,
        execution=runner.execution,
        executor=picked["executor"][0].name,
        topk=topk,
        fast_decode=fast_decode,
        options=tuple(option_texts(options)),
        labels=LabelOrigin(truth.source, truth.notes),
        counts=tally.counts(),
        predicted=tally.predicted(),
        answers=tuple(tally.answers),
        split=split,
        first_error=tally.first_error,
        metrics=measured,
        rows=rows.table() if rows else None,
    )
    if file_out is not None:
        write_manifest(file_out, result.manifest)
        observer.note(f"written: {file_out} and {file_out.name}.json")
    return result


def open_card(model: str | Path | None, observer: Observer) -> tuple[Path, ModelCard]:
    """A model file and its card; the latest export if none is named."""
    from clsbench import runs
    from clsbench.model_file import read_card

    file = runs.find_onnx(model)
    if model is None:
        observer.note(f"using the latest exported model: {file}")
    return file, read_card(file)


def _writer_name(out: Path | BinaryIO | None, format: str | None) -> list[str]:
    if out is None:
        if format:
            raise OptionError("a format is for what is written", where="--format", got=format, hint="add --out FILE")
        return []
    if not isinstance(out, Path):
        check_choice("format", format or STREAMED[0], STREAMED)
        return [format or STREAMED[0]]
    if not format and not out.suffix:
        raise OptionError("the suffix of --out chooses the format", got=out, expected=".csv, .jsonl or .parquet")
    return [format or out.suffix[1:].lower()]


def _consume(
    executor: Executor,
    spec: JobSpec,
    source: Source,
    truth: Labels,
    sinks: Sequence[Callable[[], Any]],
    tally: Tally,
    observer: Observer,
) -> None:
    """Run a job, and hand every block to the sinks, which are opened once the model is."""
    observer.stage("images", len(source.entries))
    import numpy as np

    from clsbench.inference.job import Execution, run_job

    labels = np.array(truth.index, np.int64)
    opened: list[Any] | None = None
    with ExitStack() as stack:
        blocks = stack.enter_context(closing(run_job(executor, spec, source.entries)))
        for block in blocks:
            if opened is None:
                begun = getattr(executor, "execution", None)
                if isinstance(begun, Execution) and (reason := begun.device.reason):
                    observer.note(f"running on the CPU: {reason}")
                opened = [stack.enter_context(make()) for make in sinks]
            block = block.labelled(labels[tally.total : tally.total + len(block.names)])
            for sink in opened:
                sink.write(block)
            wrong = tally.add(block)
            observer.advance(len(block.names), wrong)
