"""A file of fewer bits: made of a float32 one, measured against it, and written only where it keeps its budget."""

from __future__ import annotations

import dataclasses
import tempfile
from collections.abc import Callable, Collection, Sequence
from contextlib import ExitStack, closing
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any, Protocol

from clsbench.card import ModelCard
from clsbench.carried_gate import METADATA_KEY, proof_name
from clsbench.exporting.exporter import ExportResult
from clsbench.exporting.gate import Gate, Known, ask, measure
from clsbench.exporting.gate_images import GateImages
from clsbench.exporting.gate_paths import InferencePath, file_path
from clsbench.exporting.onnx_export import write_model
from clsbench.exporting.quantizing.carrying import IMAGES, answers, carry
from clsbench.exporting.quantizing.layers import heavy
from clsbench.exporting.quantizing.ranges import RangeImages
from clsbench.exporting.quantizing.result import Budget, PrecisionResult
from clsbench.exporting.quantizing.search import FewestInFloat
from clsbench.exporting.quantizing.sensitivity import rank_layers
from clsbench.gate_report import GateReport
from clsbench.images.loader import ImageLoader
from clsbench.inference.backend import Backend
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
    carry_n: int = IMAGES,
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
        carry_n: Images of the gate that the file carries at most, for engines that it is not proved on.
        heard: Hears notes and progress.

    Returns:
        The result; its file is None where the budget was broken and nothing was written.

    Raises:
        ModelError: if the network cannot be quantized.
        DataError: if no image can be read.
    """
    import onnx

    with tempfile.TemporaryDirectory() as name, ExitStack() as stack:
        heard.stage("calibrating", len(range_entries))
        ranges = RangeImages(range_entries, ImageLoader(card.transform), heard.advance)
        quantizer = make(onnx.load(parent), ranges, Path(name))
        first = quantizer()
        before = stack.enter_context(closing(engine.open(parent)))
        heard.stage("comparing", len(images))
        known = ask(file_path(before, card), images, heard.advance)
        judge = _Judge(card, engine, images, known, budget, Path(name) / "trial.onnx")
        attempt, kept = _with_fewest_in_float(quantizer, judge, judge(first), ranges, heard)
        report = attempt.report
        child = dataclasses.replace(
            card, precision="int8", parent=model_hash(parent), made_for=engine.name, float_layers=kept
        )
        write_model(attempt.model, child, judge.trial)
        with closing(engine.open(judge.trial)) as after:
            speed = _speed(before, after, child, known.entries, report, window, heard)
            said = partial(answers, before, card=child)
            carried = carry(known.pixels, child, said, after, engine.name, carry_n)
            proof = (proof_name(engine.name, after.device),) if report.passed else ()
        child = dataclasses.replace(child, parity=dataclasses.replace(report, flipped=()), proved_on=proof)
        broken = budget.broken(report, speed)
        written = out if not broken or budget.force else None
        if written:
            write_model(attempt.model, child, written, {METADATA_KEY: carried.text} if carried.images else {})
        result = PrecisionResult(
            parent=parent.name, parent_size=parent.stat().st_size, size=(written or judge.trial).stat().st_size,
            speed=speed, calibrated_on=len(range_entries), tries=judge.tries, layers=len(heavy(quantizer.model)),
            broken=broken, carried=carried.images,
        )  # fmt: skip
    return ExportResult(written, child, report, result)


def _with_fewest_in_float(
    quantizer: Quantizer, judge: _Judge, first: _Attempt, ranges: RangeImages, heard: Listener
) -> tuple[_Attempt, tuple[str, ...]]:
    """The graph with the fewest layers in float that keeps the accuracy budget, and these; else the first one."""
    if first.report.passed:
        return first, ()
    heard.note("int8 everywhere breaks the accuracy budget: looking for the layers to keep in float")
    ranked = rank_layers(quantizer.model, first.model, ranges.batches(RANKED_ON))
    most = int(MOST_IN_FLOAT * len(heavy(quantizer.model)))
    search = FewestInFloat(lambda layers: judge(quantizer(layers)), lambda one: one.report.passed)
    return search(first, [layer for layer, _ in ranked], most)


class _Judge:
    """Holds graphs to the accuracy budget, all with the same answers of the parent."""

    def __init__(
        self, card: ModelCard, engine: Engine, images: GateImages, known: Known, budget: Budget, trial: Path
    ) -> None:
        self.trial, self.tries, self._known = trial, 0, known
        self._card, self._engine, self._images = dataclasses.replace(card, precision="int8"), engine, images
        self._gate = Gate(max_drop=budget.max_drop, tolerance=None, expected=True)

    def __call__(self, model: Any) -> _Attempt:
        self.tries += 1
        write_model(model, self._card, self.trial)
        with closing(self._engine.open(self.trial)) as backend:
            inference = InferencePath(
                loader=ImageLoader(self._card.transform), backend=backend, classes=len(self._card.classes),
                temperature=self._card.temperature or 1.0,
            )  # fmt: skip
            reference = file_path(backend, self._card)  # asked already: not called unless the gate looks for blame
            report = measure(
                reference, inference, self._images, self._gate, precision="int8", known=self._known, blame=False
            )
        return _Attempt(model, report)


def _speed(
    before: Backend, after: Backend, card: ModelCard, entries: Sequence[Any], report: GateReport, window: float,
    heard: Listener,
) -> Speedup | None:  # fmt: skip
    """How fast both are, if the answers are worth it."""
    if not report.passed:
        return None
    heard.stage("measuring speed", MOST_ROUNDS)
    return compare_speed(before, after, card, entries, window=window, on_round=lambda done: heard.advance(1))
