"""Fewer bits than float32: files made of a file with a card, each measured against it on the spot."""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

from clsbench.api.apart import apart
from clsbench.api.arguments import check_at_least
from clsbench.api.components import Chosen, choose
from clsbench.api.data import reopen_dataset
from clsbench.api.gate import labelled_images, open_like_infer
from clsbench.api.observer import Observer
from clsbench.api.outputs import Outputs
from clsbench.api.precisions import Precision
from clsbench.errors import ClsbenchError, DataError, ModelError, OptionError
from clsbench.text import counted

if TYPE_CHECKING:
    from clsbench.api.sources import Images
    from clsbench.card import ModelCard
    from clsbench.exporting.exporter import ExportResult
    from clsbench.exporting.gate_images import GateImages
    from clsbench.exporting.quantizing.result import Budget
    from clsbench.images.entries import Entry
    from clsbench.runs import Run

#: Engines that int8 files can be made for; each is the name of a backend.
ENGINES = ("onnxruntime", "openvino")

#: Seconds of one measurement of speed.
WINDOW = 1.0

#: Images that int8 is judged on by default: a drop of 0.5 points takes many.
JUDGING = 1000


@dataclass(frozen=True, kw_only=True)
class Reduction:
    """How files of fewer bits are to be made and judged.

    Args:
        made_for: The engine of int8: ``onnxruntime`` or ``openvino``.
        calibrate_images: Training images for the ranges of int8; those of the run if None.
        calibrate_n: How many of them at most.
        gate_images: Images that judge; the run's validation split if None, or what the ranges leave over.
        gate_n: How many of them at most; 1,000 for int8 and 256 for float16 if None.
        carry_n: How many of them an int8 file carries at most, for engines that it is not proved on.
        budget: What int8 has to keep.
        device: Where float16 is judged.

    Raises:
        OptionError: for an unknown engine or a number below 1.
    """

    made_for: str = "onnxruntime"
    calibrate_images: Images | None = None
    calibrate_n: int = 128
    gate_images: Images | None = None
    gate_n: int | None = None
    carry_n: int = 16
    budget: Budget = field(default_factory=lambda: _budget())
    device: str = "cpu"

    def __post_init__(self) -> None:
        if self.made_for not in ENGINES:
            raise OptionError(
                "int8 is not made for this engine", where="--for", got=self.made_for, expected=" or ".join(ENGINES)
            )
        check_at_least("calibrate_n", self.calibrate_n, 1)
        check_at_least("gate_n", self.gate_n, 1)
        check_at_least("carry_n", self.carry_n, 0)

    def check_wanted(self, wanted: Sequence[Precision]) -> None:
        """Refuse what is only about int8 where none is wanted (OptionError): it would be ignored."""
        default, budget, usual = Reduction(), self.budget, _budget()
        asked = {
            "--for": self.made_for != default.made_for,
            "--max-drop": budget.max_drop != usual.max_drop,
            "--min-speedup": budget.min_speedup != usual.min_speedup,
            "--force": budget.force,
            "--calibrate-n": self.calibrate_n != default.calibrate_n,
            "--carry-n": self.carry_n != default.carry_n,
        }
        if "int8" not in wanted and (named := [option for option, given in asked.items() if given]):
            raise OptionError(
                f"only int8 takes {' and '.join(named)}", where="--precision", got=",".join(wanted),
                expected="int8 among them", hint="add int8, or leave the option out",
            )  # fmt: skip

    def make(self, parent: Path, precision: Precision, out: Path, observer: Observer) -> ExportResult:
        """Make a file of a precision out of a float32 one, and write it if it keeps what is asked of it.

        Raises:
            OptionError: if images are missing.
            ModelError: if the parent cannot be used, or is not of float32.
            DataError: if images cannot be read, or judge what they made.
        """
        from clsbench.model_file import read_card

        card = read_card(parent)
        if card.precision != "float32":
            raise ModelError(
                "only a float32 file can be given another precision", where=parent, got=card.precision,
                expected="the file that it was made of",
            )  # fmt: skip
        outputs = Outputs(observer)
        outputs.add(out, "--out", "the model", ".onnx")
        outputs.refuse(parent)
        if precision == "fp16":
            return self._halve(parent, card, out, outputs, observer)
        return self._quantize(parent, card, out, outputs, observer)

    def _quantize(self, parent: Path, card: ModelCard, out: Path, outputs: Outputs, observer: Observer) -> ExportResult:
        from clsbench.exporting.quantizing.proving import Engine, quantize_proved

        backend = _backend(self.made_for)
        ranges, judging = self._images(parent, card, observer)
        outputs.refuse_images([*ranges, *judging.entries])
        if self.device not in ("cpu", "auto"):
            observer.note(f"int8 is proved and measured on the CPU, not on {self.device}")
        observer.note(
            f"int8 for {self.made_for}: ranges from {counted(len(ranges), 'image')}, judged on "
            f"{len(judging):,} {'other' if len(judging) == 1 else 'others'}, against {parent}"
        )
        engine = Engine(name=self.made_for, open=lambda file: backend.offered(tune="cached").build(file, "cpu"))
        return quantize_proved(
            parent, card, _quantizer(self.made_for), ranges, judging, out, engine, self.budget, window=WINDOW,
            carry_n=self.carry_n, heard=observer,
        )  # fmt: skip

    def _halve(self, parent: Path, card: ModelCard, out: Path, outputs: Outputs, observer: Observer) -> ExportResult:
        import onnx

        from clsbench.exporting.exporter import write_proved
        from clsbench.exporting.float16 import to_float16
        from clsbench.exporting.gate import gate_between
        from clsbench.exporting.gate_images import COUNT, choose_evenly, embedded_photos
        from clsbench.exporting.gate_paths import file_path
        from clsbench.model_file import model_hash

        note_float16(observer)
        if self.gate_images is not None:
            entries, labels, _ = labelled_images(self.gate_images, card)
        elif run := run_of(parent):
            entries, labels = samples_of(run, "val")
        else:
            entries, labels = embedded_photos(), None
        outputs.refuse_images(entries)
        chosen = choose_evenly(entries, labels, count=self.gate_n or COUNT)
        observer.stage("comparing", len(chosen))
        child = dataclasses.replace(card, precision="float16", parent=model_hash(parent))
        before = open_like_infer(parent)
        try:
            return write_proved(
                to_float16(onnx.load(parent)), child, file_path(before, card), chosen, out,
                lambda file: open_like_infer(file, self.device), gate_between("float32", "float16"),
                heard=observer.advance,
            )  # fmt: skip
        finally:
            before.close()

    def _images(self, parent: Path, card: ModelCard, observer: Observer) -> tuple[Sequence[Entry], GateImages]:
        """Those that the ranges are taken from, and those that judge: no image does both."""
        from clsbench.exporting.gate_images import choose_evenly, spread

        run, count = run_of(parent), self.gate_n or JUDGING
        if self.calibrate_images is not None:
            pool, labels, _ = labelled_images(self.calibrate_images, card)
        elif run:
            pool, labels = samples_of(run, "train")
        else:
            raise OptionError(
                "int8 needs images to calibrate with", where="--calibrate-images",
                got=f"{parent}, which no run here has trained", expected="training images, or others of their kind",
            )  # fmt: skip
        chosen = spread(len(pool), self.calibrate_n)
        if self.gate_images is not None:
            judging = choose_evenly(*labelled_images(self.gate_images, card)[:2], count=count)
        elif run:
            judging = choose_evenly(*samples_of(run, "val"), count=count)
        else:
            if len(pool) < 2:
                raise DataError(
                    "one image cannot calibrate and judge", where="--calibrate-images", got=counted(len(pool), "image"),
                    hint="name others to judge with: --gate-images DIR", code="CB-G006",
                )  # fmt: skip
            rest = sorted({*range(len(pool))} - {*chosen.tolist()})
            if len(rest) < math.ceil(len(pool) / 2):  # too few are left over
                chosen = spread(len(pool), len(pool) // 2)
                rest = sorted({*range(len(pool))} - {*chosen.tolist()})
            known = None if labels is None else [labels[k] for k in rest]
            judging = choose_evenly([pool[k] for k in rest], known, count=count)
        return apart([pool[k] for k in chosen], judging.entries, observer), judging


def _budget() -> Budget:
    from clsbench.exporting.quantizing.result import Budget

    return Budget()


def _backend(made_for: str) -> Chosen:
    """The backend that proves and measures what is made for it.

    Raises:
        ClsbenchError: if it is not installed.
    """
    try:
        return choose({"backend": [made_for]})["backend"][0]
    except OptionError as error:
        raise ClsbenchError(
            f"int8 for {made_for} is proved in {made_for}, which no plugin offers here", where="--for", got=error.what,
            hint=f"pip install clsbench-{made_for}",
        ) from error  # fmt: skip


def _quantizer(made_for: str) -> Any:
    if made_for == "openvino":
        from clsbench.exporting.quantizing.nncf_quantizer import NncfQuantizer

        return NncfQuantizer
    from clsbench.exporting.quantizing.onnxruntime_quantizer import OnnxRuntimeQuantizer

    return OnnxRuntimeQuantizer


def is_model_file(name: str | Path) -> bool:
    """Whether a user means a model file, not a run."""
    path = Path(name)
    return path.suffix.lower() == ".onnx" or path.is_file()


def run_of(file: Path) -> Run | None:
    """The run in whose directory a model file lies, if it does."""
    from clsbench.runs import Run

    run = Run(file.parent)
    return run if run.record.is_file() else None


def samples_of(run: Run, split: Literal["train", "val"]) -> tuple[list[Entry], list[int] | None]:
    """The labelled images of a split of a run, and their labels.

    Raises:
        DataError: if they cannot be read.
    """
    try:
        samples = reopen_dataset(run)[0].samples(split)
    except DataError as error:
        raise DataError(
            "the run's images, which the gate needs, cannot be read", where=run.read_record().data.root,
            got=error.one_line(), hint="name others: export --gate-images DIR, verify --images DIR",
        ) from None  # fmt: skip
    known = [sample for sample in samples if sample.label is not None]
    return [sample.image for sample in known], [sample.label for sample in known if sample.label is not None]


def note_float16(observer: Observer) -> None:
    """Say what float16 is for."""
    observer.note("float16 is for GPUs: on most CPUs this file will be slower than one of float32")
