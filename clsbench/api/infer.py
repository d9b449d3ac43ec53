"""``infer``: images and a model file to predictions, one row for each image."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, BinaryIO, Literal

from clsbench.api import infer_output as output
from clsbench.api.arguments import check_at_least, check_choice, names_of
from clsbench.api.auto_backend import AutoBackend
from clsbench.api.carried import check_carried
from clsbench.api.chosen_model import open_card
from clsbench.api.components import Options, choose, metric_names, option_texts
from clsbench.api.engines import AUTO, installed_names, named_backend
from clsbench.api.infer_fast_decode import decide
from clsbench.api.infer_features import features_of
from clsbench.api.infer_rerun import Rerun, find_finished, identify, remove_features
from clsbench.api.infer_run import InferenceRun
from clsbench.api.infer_sorting import wanted_sorting
from clsbench.api.labelled import Wanted
from clsbench.api.observer import Observer
from clsbench.api.outputs import Outputs
from clsbench.api.sources import Images
from clsbench.api.trained_on import trained_on
from clsbench.errors import OptionError
from clsbench.options import OptionValue
from clsbench.output_lock import exclusive, remove_leftovers
from clsbench.text import counted

if TYPE_CHECKING:
    from clsbench.datasets.dataset import Dataset, Split
    from clsbench.inference.result import InferenceResult

#: Jobs of fewer images use a measured plan only if there is one: measuring takes a second or two.
WORTH_TUNING = 1000


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
    features: bool = False,
    columns: str | Sequence[str] = (),
    escape_formulas: bool = False,
    abstain_below: float | None = None,
    move: str | Path | None = None,
    copy: str | Path | None = None,
    link: str | Path | None = None,
    device: str = "auto",
    allow_fallback: bool = False,
    backend: str = "onnxruntime",
    executor: str = "threads",
    batch_size: int | None = None,
    streams: int | None = None,
    threads: int | None = None,
    tune: Literal["off", "quick", "full"] = "quick",
    fast_decode: bool | Literal["auto"] = "auto",
    max_pixels: int | None = None,
    decoders: Sequence[str] = (),
    metrics: Sequence[str] = (),
    options: Options = (),
    keep_rows: bool = True,
    on_error: Literal["row", "fail"] = "row",
    max_failure_rate: float | None = None,
    shard: str | None = None,
    resume: bool = False,
    restart: bool = False,
    overwrite: bool = False,
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
        out: The predictions file, or an open binary stream, which stays open and gets no manifest. A folder, or a text
            with a slash at its end, gets Parquet parts.
        format: ``csv``, ``jsonl``, ``parquet``, ``parquet-parts`` or a plugin's; if left out the suffix of the file,
            ``csv`` of a stream.
        labels: A CSV file with the columns path and label; class folders if left out; ``"none"`` for no labels.
        unknown_labels: What to do with labels the model does not know.
        include, exclude: Patterns of names, such as ``*.jpg``, ``cats`` or ``2024/**/*.png``: an image must match one
            of the first, if there are any, and none of the second.
        topk: Columns for so many of the best classes.
        probabilities: A column for the probability of every class.
        features: What goes into the network's head, float32 (N, D), NaN where an image was not classified: a column of
            Parquet files and of ``to_arrow()``, beside others a file such as ``preds.csv.features.npy``, row by row.
        columns: The other columns of the file, in their order, such as ``"path,predicted"``; all if left out.
        escape_formulas: CSV: put an apostrophe before texts that a spreadsheet would run as a formula.
        abstain_below: Mark predictions of a lower confidence in a column ``abstained``; the model's own threshold, if
            there is one, if left out.
        move, copy, link: A folder to sort the images into, by class, once the job is done; nothing is overwritten.
        device: ``auto``, ``cpu``, ``cuda[:i,j]``, ``tensorrt[:i,j]`` or ``ep:NAME[:i]``; a named device is used, or it
            is an error.
        allow_fallback: Accept parts of the network on the CPU where a GPU was asked for.
        backend: What runs the model, with options after colons as in ``openvino:precision=bf16``; ``auto`` measures
            those that are installed, and takes the fastest that passes the gate.
        executor: What runs the job: ``threads``, ``serial`` or a plugin's.
        batch_size, streams, threads: How to run the model; chosen by ``tune`` if left out.
        tune: Whether to measure how to run the model, for jobs of 1,000 images or more.
        fast_decode: Decode large JPEGs at reduced size: faster, slightly different pixels. ``"auto"``: in jobs of 1,000
            images or more whose labels stay the same, by a comparison on some of them.
        max_pixels: Images of more pixels are not decoded; Pillow's limit, 178,956,970, if left out.
        decoders: Decoders to try before the built-in ones.
        metrics: Metrics in addition to the built-in ones.
        options: Options of the components, such as ``{"writer.key": value}``.
        keep_rows: Whether the result keeps the rows, for ``to_arrow()``.
        on_error: What to do with an image that cannot be classified: give it a ``row`` with the reason, or ``fail``.
        max_failure_rate: The share of such images, 0 to 1, above which the result is not ``within_budget``.
        shard: Classify only this part of the images, ``I/N``; :func:`clsbench.merge` joins the files of all N parts.
        resume: Continue the job that was writing ``out`` when it was killed; a finished one is recognised.
        restart: Begin an unfinished job anew.
        overwrite: Replace a file that is there already.
        observer: Hears notes, warnings and progress.

    Raises:
        OptionError: for unknown names or options, or options that contradict each other.
        DataError: if there are no images, labels do not match the classes, another job is writing ``out``, or
            something would be lost: an earlier file, or rows of an unfinished job.
        ModelError: if the model file cannot be used.
        DeviceError: if the device cannot be used.
        PluginError: if a plugin is broken.
        BrokenPipeError: if nobody reads the stream any more.
    """
    from clsbench.images.decoders import formats_of
    from clsbench.images.entries import stamps_of
    from clsbench.images.sources.compact import entry_names
    from clsbench.images.sources.source import reading_threads
    from clsbench.inference.job import JobSpec
    from clsbench.machine import available_cores
    from clsbench.model_file import feature_dim
    from clsbench.predictions.arrow import ArrowCollector, is_utf8
    from clsbench.predictions.columns import positions
    from clsbench.predictions.feature_file import features_path
    from clsbench.predictions.manifest import manifest_path

    observer, rerun = observer or Observer(), Rerun(resume, restart, overwrite)
    target = Path(out) if isinstance(out, str | Path) else out
    file_out = output.lasting_file(target, rerun)
    wanted = Wanted(
        images, dataset=dataset, split=split, labels=labels, unknown=unknown_labels, include=include, exclude=exclude
    )
    check_choice("tune", tune, ("off", "quick", "full"))
    check_choice("unknown_labels", unknown_labels, ("error", "ignore"))
    check_choice("on_error", on_error, ("row", "fail"))
    if max_failure_rate is not None and not 0 <= max_failure_rate <= 1:
        raise OptionError("the failure rate is a share", got=max_failure_rate, expected="a number from 0 to 1")
    check_at_least("topk", topk, 0)
    counts = {"batch_size": batch_size, "streams": streams, "threads": threads, "max_pixels": max_pixels}
    for name, value in counts.items():
        check_at_least(name, value, 1)
    if probabilities and target is None and not keep_rows:
        raise OptionError("probabilities are written to a file", where="--probabilities", hint="add --out FILE")
    shown = tuple(names_of(columns))
    positions(shown, topk, abstaining=True)
    sorting = wanted_sorting(move=move, copy=copy, link=link)
    own = metric_names("infer")
    named, options = named_backend(backend, options)
    picked = choose(
        {
            **wanted.components(),
            "backend": installed_names(observer) if backend == AUTO else [named],
            "executor": [executor],
            "writer": output.writer_name(out, format),
            "decoder": decoders,
            "metric": [*own, *metrics],
        },
        options,
    )
    file, card = open_card(model, observer)
    card = output.with_threshold(card, abstain_below)
    positions(shown, topk, card.abstain_below is not None)
    kept = features_of(features, target, file_out, picked["writer"], keep_rows=keep_rows)
    dim = feature_dim(card, file) if kept.asked else None
    outputs = Outputs(observer)
    if file_out:
        output.add_predictions(outputs, file_out, picked["writer"][0], features=kept.file, shard=shard, sorting=sorting)
        if not resume:
            rerun.check(file_out)
    outputs.refuse(file, None if labels == "none" else labels)
    readers = tuple(c.opener() for c in picked["decoder"])
    suffixes = {f".{name}" for opener in readers for name in formats_of(opener())}
    source, truth = wanted.open(picked, card, suffixes, observer)
    outputs.refuse(source.location)
    outputs.refuse_images(source.entries)
    if sorting:
        sorting.check(source, images)
    names = entry_names(source.entries)
    if truth.source is not None and (note := trained_on(file, source.location, names)):
        observer.warn(note)
    part, whole = None, source.entries
    if shard is not None:
        source, truth, part = output.take_shard(shard, source, truth)
        observer.note(f"shard {shard}: {len(source.entries):,} of {counted(len(names), 'image')}")
        if backend == AUTO:
            observer.warn("shards may choose other backends, and merge refuses such: name one with --backend")
    mode = "cached" if tune == "quick" and len(source.entries) < WORTH_TUNING else tune
    flags: dict[str, OptionValue] = {"streams": streams, "threads": threads, "allow_fallback": allow_fallback}
    choice, then = None, rerun.earlier(file_out)
    if backend == AUTO:
        question = AutoBackend(
            model=file, card=card, device=device, backends=picked["backend"], flags=flags, batch_size=batch_size,
            tune=tune, features=kept.asked, observer=observer,
        )  # fmt: skip
        engine, choice = question.choose(source.entries, then)
    else:
        engine = picked["backend"][0].asked(**flags)
    check_carried(file, card, engine, device, observer)
    spec = JobSpec(
        model=file,
        card=card,
        backend=engine.offered(batch_size=batch_size, tune=mode).opener(),
        device=device,
        decoders=readers,
        batch_size=batch_size,
        decode_threads=reading_threads(source.entries, available_cores()),
        max_pixels=max_pixels,
        features=kept.asked,
    )
    decoded = decide(spec, whole, fast_decode, executor=executor, then=then, observer=observer)
    spec = replace(spec, fast_decode=decoded.used)
    binary = not all(map(is_utf8, names))  # of the whole job, so that its shards are alike
    writers = [
        c.asked(probabilities=probabilities, topk=topk or None, columns=shown or None, escape_formulas=escape_formulas)
        .offered(binary_paths=binary, **({"features": True} if kept.asked else {}))
        for c in picked["writer"]
    ]  # fmt: skip
    output.note_formulas(writers, source, card, observer)
    rows = None
    if keep_rows:
        rows = ArrowCollector(
            card.classes, topk=topk, probabilities=probabilities, columns=shown, abstain_below=card.abstain_below,
            binary_paths=binary, feature_dim=dim,
        )  # fmt: skip
    run = InferenceRun(
        spec=spec,
        source=source,
        truth=truth,
        out=target,
        writers=writers,
        feature_file=kept.file,
        executor=picked["executor"][0],
        metrics=[(c.name, c.build()) for c in picked["metric"]],  # what cannot be built is known before the work
        sinks=[sink for sink in (rows, sorting) if sink],
        rows=rows,
        asked={
            "topk": topk,
            "fast_decode": decoded.used,
            "fast_decode_check": decoded.to_json(),
            "options": tuple(option_texts(options)),
            "split": split,
            "max_failure_rate": max_failure_rate,
            "written": output.written(writers, features=kept.asked),
            "shard": part,
            "backend_choice": choice,
        },
        on_error=on_error,
        observer=observer,
    )
    if file_out is None:
        result = run.run()
    else:
        asked = {"batch_size": batch_size, "streams": streams, "threads": threads, "max_pixels": max_pixels,
                 "fast_decode": decoded.used or None, "features": kept.asked or None, "shard": shard}  # fmt: skip
        stamps = stamps_of(source.entries)
        parts = [engine, *picked["decoder"]]
        form = output.form_of(writers, truth.index, abstain_below)
        job = identify(spec, source.entries, stamps, parts, overwrite=overwrite, form=form, device=device, **asked)
        with exclusive(file_out, "the predictions"):
            for written in (file_out, manifest_path(file_out), features_path(file_out)):
                remove_leftovers(written)
            if resume and (finished := find_finished(file_out, job)):
                observer.note(f"finished already: {counted(job.images, 'row')} in {file_out}")
                result = run.recorded(file_out, finished)
                if sorting:
                    sorting.read(file_out, card.classes)
            else:
                result = run.run(job, rerun.find_ledger(file_out, job, source.entries, stamps, card, observer, dim))
                if not kept.file:
                    remove_features(file_out, observer)
    return replace(result, sorted=sorting.finish(source, card.classes, observer)) if sorting else result
