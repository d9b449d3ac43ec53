"""A file of fewer bits: made of a float32 one, measured against it, and written only where it keeps its budget."""

from __future__ import annotations

import dataclasses
import math
import tempfile
from collections.abc import Callable, Collection, Sequence
from contextlib import ExitStack, closing
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol

import numpy as np

from clsbench import carried_gate
from clsbench.card import ModelCard
from clsbench.exporting.exporter import ExportResult
from clsbench.exporting.gate import Gate, Known, ask, measure
from clsbench.exporting.gate_images import GateImages, spread
from clsbench.exporting.gate_paths import InferencePath, file_path
from clsbench.exporting.onnx_export import write_model
from clsbench.exporting.quantizing.carrying import as_jpeg, carry_count, dumps
from clsbench.exporting.quantizing.layers import heavy
from clsbench.exporting.quantizing.ranges import RangeImages
from clsbench.exporting.quantizing.result import Budget, PrecisionResult
from clsbench.exporting.quantizing.search import FewestInFloat
from clsbench.exporting.quantizing.sensitivity import rank_layers
from clsbench.gate_report import GateReport
from clsbench.images.loader import ImageLoader
from clsbench.inference.backend import Backend, classify
from clsbench.inference.speedup import MOST_ROUNDS, Speedup, compare_speed
from clsbench.model_file import model_hash

#: Images that the sensitivity of layers is measured on.
RANKED_ON = 16

#: The share of the layers that may stay in float: with more of them int8 is no gain.
MOST_IN_FLOAT = 0.5


class Quantizer(Protocol):
    """Makes int8 graphs of one network; see :mod:`clsbench.exporting.quantizing.onnxruntime_quantizer`."""

    model: Any
    always_float: tuple[str, ...]

    def __call__(self, float_nodes: Collection[str] = ()) -> Any:
        """The quantized ModelProto, with these nodes in float."""


@dataclass(frozen=True, kw_only=True)
class Engine:
    """Where a file is proved and measured.

    Args:
        name: Of the backend, which is what the file is made for.
        open: Opens a model file in it.
    """

    name: str
    open: Callable[[Path], Backend]


@dataclass(frozen=True)
class _Attempt:
    """A graph, and what the gate measured of it."""

    model: Any
    report: GateReport


class Listener(Protocol):
    """Hears of the work."""

    def note(self, text: str) -> None:
        """Something that the user should be able to read."""

    def stage(self, name: str, total: int | None = None) -> None:
        """Something long begins."""

    def advance(self, count: int, errors: int = 0) -> None:
        """So much of it is done."""


def quantize_proved(
    parent: Path,
    card: ModelCard,
    make: Callable[[Any, RangeImages, Path], Quantizer],
    range_entries: Sequence[Any],
    images: GateImages,
    out: Path,
    engine: Engine,
    budget: Budget,
    *,
    window: float = 1.0,
    heard: Listener,
) -> ExportResult:
    """Make an int8 file, keep as many layers in float as its accuracy needs, and write it if it keeps its budget.

    Args:
        parent: A float32 model file.
        card: Of it.
        make: The quantizer: of a ModelProto, images for the ranges and a folder.
        range_entries: Training images to take ranges from.
        images: Others, which judge the result.
        out: The file to write.
        engine: What the file is made for, and proved and measured with.
        budget: What it has to keep.
        window: Seconds of one measurement of speed.
        heard: Hears notes and progress.

    Returns:
        The result; its file is None where the budget was broken and nothing was written.

    Raises:
        ModelError: if the network cannot be quantized.
        DataError: if no image can be read.
    """
    import onnx

    with tempfile.TemporaryDirectory() as name, ExitStack() as stack:
        folder = Path(name)
        heard.stage("calibrating", len(range_entries))
        ranges = RangeImages(range_entries, ImageLoader(card.transform), heard.advance)
        quantizer = make(onnx.load(parent), ranges, folder)
        first = quantizer()
        before = stack.enter_context(closing(engine.open(parent)))
        heard.stage("comparing", len(images))
        known = ask(file_path(before, card), images, heard.advance)
        judge = _Judge(card, engine, images, known, budget, folder / "trial.onnx")
        attempt = judge(first)
        search = FewestInFloat(lambda layers: judge(quantizer(layers)), lambda one: one.report.passed)
        kept: tuple[str, ...] = ()
        layers = [node.name for node in heavy(quantizer.model)]
        if not attempt.report.passed:
            heard.note("int8 everywhere breaks the accuracy budget: looking for the layers to keep in float")
            ranked = rank_layers(quantizer.model, first, ranges.batches(RANKED_ON))
            most = int(MOST_IN_FLOAT * len(layers))
            attempt, kept = search(attempt, [layer for layer, _ in ranked], most)
        child = dataclasses.replace(
            card, precision="int8", parent=model_hash(parent), made_for=engine.name, float_layers=kept
        )
        write_model(attempt.model, child, judge.trial)
        with closing(engine.open(judge.trial)) as after:
            speed = _speed(before, after, child, judge.known.entries, attempt.report, window, heard)
            broken = budget.broken(attempt.report, speed)
            child = _proved(child, attempt.report, engine.name, after)
            carried, count = _carried(child, judge.known, before, after, engine.name)
        size = len(attempt.model.SerializeToString())
        written = not broken or budget.force
        if written:
            write_model(attempt.model, child, out, {carried_gate.METADATA_KEY: carried})
            size = out.stat().st_size
        result = PrecisionResult(
            parent=parent.name, parent_size=parent.stat().st_size, size=size, speed=speed,
            calibrated_on=len(range_entries), tries=1 + search.tries, layers=len(layers), broken=broken, carried=count,
        )  # fmt: skip
    return ExportResult(out if written else None, child, attempt.report, result)


class _Judge:
    """Holds graphs to the accuracy budget, all with the same answers of the parent."""

    def __init__(
        self, card: ModelCard, engine: Engine, images: GateImages, known: Known, budget: Budget, trial: Path
    ) -> None:
        self.known, self.trial = known, trial
        self._card, self._engine, self._images = dataclasses.replace(card, precision="int8"), engine, images
        self._gate = Gate(max_drop=budget.max_drop, tolerance=None, expected=True)

    def __call__(self, model: Any) -> _Attempt:
        write_model(model, self._card, self.trial)
        with closing(self._engine.open(self.trial)) as backend:
            inference = InferencePath(
                loader=ImageLoader(self._card.transform), backend=backend, classes=len(self._card.classes),
                temperature=self._card.temperature or 1.0,
            )  # fmt: skip
            reference = file_path(backend, self._card)  # asked already: not called unless the gate looks for blame
            report = measure(
                reference, inference, self._images, self._gate, precision="int8", known=self.known, blame=False
            )
        return _Attempt(model, report)


def _proved(card: ModelCard, report: GateReport, name: str, backend: Backend) -> ModelCard:
    """The card with what the gate measured, and on what."""
    proof = (carried_gate.proof_name(name, backend.device),) if report.passed else ()
    return dataclasses.replace(card, parity=dataclasses.replace(report, flipped=()), proved_on=proof)


def _speed(
    before: Backend, after: Backend, card: ModelCard, entries: Sequence[Any], report: GateReport, window: float,
    heard: Listener,
) -> Speedup | None:  # fmt: skip
    """How fast both are, if the answers are worth it."""
    if not report.passed:
        return None
    heard.stage("measuring speed", MOST_ROUNDS)
    return compare_speed(before, after, card, entries, window=window, on_round=lambda done: heard.advance(1))


def _carried(card: ModelCard, known: Known, before: Backend, after: Backend, name: str) -> tuple[str, int]:
    """What the file carries: some of the images that judged it, spread over them, and what both files say of these."""
    count = len(card.classes)
    chosen = spread(len(known.pixels), carry_count(count, math.prod(card.transform.size)))
    images = [as_jpeg(known.pixels[k]) for k in chosen]
    pixels = carried_gate.decoded(images, card)
    parent, said = (
        np.concatenate([classify(backend, pixels[k : k + 1], count) for k in range(len(pixels))])
        for backend in (before, after)
    )
    return dumps(images, parent, said, carried_gate.proof_name(name, after.device)), len(images)
