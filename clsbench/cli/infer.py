"""``clsbench infer``: images and a model file in, a predictions file and three tables out."""

from __future__ import annotations

import time
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Literal

import typer

from clsbench.cli.parameters import AllowFallback, Device, Json, ModelFile, Quiet, With

if TYPE_CHECKING:
    from clsbench.card import ModelCard
    from clsbench.cli.terminal import Terminal
    from clsbench.datasets.dataset import Sample
    from clsbench.datasets.labels import Labels
    from clsbench.images.listing import Listing

#: Jobs of fewer images use a measured plan only if there is one: measuring takes a second or two.
WORTH_TUNING = 1000


def infer(
    images: Annotated[Path, typer.Argument(metavar="IMAGES", help="A folder of images, or one image.")],
    out: Annotated[Path | None, typer.Option(metavar="FILE", help="Predictions: .csv, .jsonl or .parquet.")] = None,
    model: ModelFile = None,
    labels: Annotated[
        str | None,
        typer.Option(metavar="FILE.csv", help="Labels (path,label); class folders if left out; `none` for none."),
    ] = None,
    unknown_labels: Annotated[
        Literal["error", "ignore"], typer.Option(help="What to do with labels the model does not know.")
    ] = "error",
    topk: Annotated[int, typer.Option(min=0, help="Columns for the K best classes.")] = 0,
    probabilities: Annotated[
        bool, typer.Option("--probabilities", help="A column p:CLASS for every class, for evaluate.")
    ] = False,
    device: Device = "auto",
    allow_fallback: AllowFallback = False,
    backend: Annotated[str, typer.Option(help="An inference engine.")] = "onnxruntime",
    batch_size: Annotated[int | None, typer.Option(min=1, help="Images a call; chosen by --tune if left out.")] = None,
    streams: Annotated[int | None, typer.Option(min=1, help="Concurrent calls; chosen by --tune.")] = None,
    threads: Annotated[int | None, typer.Option(min=1, help="Threads of one call; chosen by --tune.")] = None,
    tune: Annotated[
        Literal["off", "quick", "full"], typer.Option(help="Measure how to run the model; kept for later runs.")
    ] = "quick",
    fast_decode: Annotated[
        bool, typer.Option("--fast-decode", help="Decode large JPEGs smaller: faster, not quite the same pixels.")
    ] = False,
    decoders: Annotated[list[str] | None, typer.Option("--decoder", help="A decoder to try before our own.")] = None,
    metrics: Annotated[list[str] | None, typer.Option("--metric", help="A metric beside our own.")] = None,
    options: With = None,
    json: Json = None,
    quiet: Quiet = False,
) -> None:
    """Classify every image of a folder; each gets a row, readable or not."""
    from clsbench.cli.composition import accepted, build_decoders, build_metrics, explicit, resolve
    from clsbench.cli.infer_report import print_tables
    from clsbench.cli.terminal import Terminal
    from clsbench.errors import OptionError
    from clsbench.inference.job import InferenceJob, write_manifest
    from clsbench.machine import available_cores
    from clsbench.options import parse_with
    from clsbench.predictions.metric import run_metrics

    terminal = Terminal(json=json, quiet=quiet)
    used = [
        "backend",
        *(["metric"] if metrics else []),
        *(["decoder"] if decoders else []),
        *(["writer"] if out else []),
    ]
    given = parse_with(options or (), used)
    writer_name = _writer_name(out)
    writer, writer_options = resolve("writer", writer_name, given) if writer_name else (None, {})
    engine, engine_options = resolve("backend", backend, given)
    measures = build_metrics("infer", metrics or (), given)
    readers = build_decoders(decoders or (), given)

    file, card = _model(terminal, model)
    listing = _list(terminal, images, readers)
    truth = _labels(listing, card, labels, unknown_labels)
    for note in truth.notes:
        terminal.note(note)
    samples = _samples(listing, truth)
    general = explicit(engine, streams=streams, threads=threads, allow_fallback=allow_fallback)
    mode = "cached" if tune == "quick" and len(samples) < WORTH_TUNING else tune
    general |= accepted(engine, batch_size=batch_size, tune=mode)
    job = InferenceJob(
        card,
        engine.build(file, device, **(general | engine_options)),
        decoders=readers,
        decode_threads=available_cores(),
        batch_size=batch_size,
        fast_decode=fast_decode,
    )
    if job.backend.device.get("reason"):
        terminal.note(f"running on the CPU: {job.backend.device['reason']}")
    if probabilities and writer:
        writer_options = {**explicit(writer, probabilities=True), **writer_options}
    elif probabilities:
        raise OptionError("probabilities are written to a file", where="--probabilities", hint="add --out FILE")
    sink = writer.build(out, card, topk=topk, **writer_options) if writer else None
    with terminal.progress("errors") as progress:
        task = progress.add_task("images", total=len(samples), errors="")

        shown = 0.0

        def show(done: int, errors: int) -> None:
            nonlocal shown
            if time.monotonic() - shown > 0.1 or done == len(samples):
                progress.update(task, completed=done, errors=f"{errors} errors" if errors else "")
                shown = time.monotonic()

        result = job.run(samples, sink, show)
    measured = run_metrics(result.outcomes, measures)
    facts = result.facts(
        file, card, images, labels=truth, metrics=measured,
        options={**job.plan(), "topk": topk, "fast_decode": fast_decode, "with": options or []},
    )  # fmt: skip
    if out:
        write_manifest(out, facts)
        terminal.note(f"written: {out} and {out.name}.json")
    for name, reason in measured.errors.items():
        terminal.warn(f"metric {name} failed: {reason}")
    print_tables(terminal, facts, measured)
    terminal.facts(facts)
    if result.errors == len(samples):
        terminal.warn(f"none of the {len(samples)} images could be classified: {result.first_error}")
        raise typer.Exit(3)


def _writer_name(out: Path | None) -> str | None:
    from clsbench.errors import OptionError

    if out is not None and not out.suffix:
        raise OptionError("the suffix of --out chooses the format", got=out, expected=".csv, .jsonl or .parquet")
    return out.suffix[1:].lower() if out else None


def _model(terminal: Terminal, model: Path | None) -> tuple[Path, ModelCard]:
    from clsbench import runs
    from clsbench.model_file import read_card

    file = model or runs.latest_onnx()
    if model is None:
        terminal.note(f"using the latest exported model: {file}")
    return file, read_card(file)


def _list(terminal: Terminal, images: Path, readers: Sequence[Any]) -> Listing:
    from clsbench.images.formats import SUFFIXES
    from clsbench.images.listing import list_images

    more = {f".{name}" for reader in readers for name in reader.formats}
    listing = list_images(images, suffixes=SUFFIXES | more)
    if listing.skipped:
        others = ", ".join(f"{n} {suffix}" for suffix, n in listing.skipped.most_common(5))
        terminal.note(f"not images by their suffix, left out: {others}")
    return listing


def _labels(listing: Listing, card: ModelCard, labels: str | None, unknown: str) -> Labels:
    from clsbench.datasets.labels import Labels, from_csv, from_folders

    if labels == "none":
        return Labels(None, [-1] * len(listing.names))
    if labels:
        return from_csv(Path(labels), listing.names, card.classes, unknown=unknown)
    return from_folders(listing.names, card.classes, where=listing.root, unknown=unknown)


def _samples(listing: Listing, labels: Labels) -> list[Sample]:
    from clsbench.datasets.dataset import Sample

    root = str(listing.root)
    return [
        Sample(name, f"{root}/{name}", label if label >= 0 else None)
        for name, label in zip(listing.names, labels.index, strict=True)
    ]
