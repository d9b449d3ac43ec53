"""``export``: a trained network as one self-describing .onnx, proved equal; and files of fewer bits, made of that."""

from __future__ import annotations

import dataclasses
import tempfile
from collections.abc import Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

from clsbench import runs
from clsbench.api.checkpoint import Checkpoint, Classes
from clsbench.api.components import Options
from clsbench.api.export_confidence import Confidence
from clsbench.api.export_precision import Reduction, is_model_file, note_float16
from clsbench.api.gate import labelled_images, open_like_infer
from clsbench.api.observer import Observer
from clsbench.api.outputs import Outputs
from clsbench.api.precisions import PRECISIONS, Precision, beside, note_outdated, precisions
from clsbench.api.trained import as_it_is, current_file, trained_network
from clsbench.errors import OptionError
from clsbench.guard import staying
from clsbench.machine import wait_passively
from clsbench.text import counted

if TYPE_CHECKING:
    from clsbench.api.sources import Images
    from clsbench.exporting.exporter import ExportResult
    from clsbench.exporting.gate import Gate


def export(
    run: str | Path | None = None,
    *,
    model: str | None = None,
    pretrained: bool = False,
    weights: str | Path | None = None,
    classes: Classes | None = None,
    head: str = "linear",
    transform: Options = (),
    images: Images | None = None,
    gate_n: int | None = None,
    device: str = "cpu",
    out: str | Path | None = None,
    gate: Gate | None = None,
    precision: str | Sequence[str] = "fp32",
    made_for: str = "onnxruntime",
    max_drop: float = 0.5,
    min_speedup: float = 1.0,
    force: bool = False,
    calibrate: bool = False,
    abstain_at_precision: float | None = None,
    calibrate_images: str | Path | None = None,
    calibrate_n: int = 128,
    carry_n: int = 16,
    options: Options = (),
    observer: Observer | None = None,
) -> ExportResult:
    """Export to ONNX; the file is written only if it agrees with the network on real images.

    Args:
        run: A run's name or directory, or an .onnx file with a card to make one of fewer bits of; the latest run if
            left out.
        model: Export this model instead of a run: as it is, with its own classes, or a checkpoint of another program.
        pretrained: With ``model``: its published weights.
        weights: With ``model``: weights from a local file.
        classes: With ``weights``: the names of its classes in order, or a file of them (one a line, or JSON).
        head: With ``classes``: what stands between features and logits, such as ``mlp:512``.
        transform: With ``model``: changes of the model's own preprocessing, such as ``{"size": 224}``.
        images: A folder of images for the gate, or an archive or list; the run's validation split if left out.
        gate_n: How many of them to compare at most, spread evenly; 256, and 1,000 for int8, if left out.
        device: Where the file runs in the gate: the one that is to infer with it, as GPUs compute with less precision.
        out: The file; ``RUN/model.onnx``, or ``MODEL.onnx`` with ``model``, if left out. Those of fewer bits are called
            ``model.fp16.onnx`` and ``model.int8.onnx`` beside it.
        gate: What the file must show; by default the same top-1 everywhere, and probabilities within 0.001
            (fp16: 0.02).
        precision: Of weights and activations: ``fp32``, ``fp16`` for GPUs, ``int8`` for CPUs; several as a list or with
            commas between them. An int8 file is made of the float32 one, and compared with it on the spot.
        made_for: The engine of int8, ``onnxruntime`` or ``openvino``: each reads such files in its own way.
        max_drop: Points of accuracy that int8 may lose. Where it loses more, its most sensitive layers stay in float.
            Without labels the loss is estimated from float32's own probabilities.
        min_speedup: How many times as fast as float32 int8 has to be, alone and end to end.
        force: Write an int8 file also where it breaks one of these two.
        calibrate: Fit a temperature to the labelled images, which ``infer`` then divides the logits by.
        abstain_at_precision: Choose the threshold of confidence at and above which this share of the labelled images is
            classified correctly, as estimated; ``infer`` marks what is below.
        calibrate_images: Images to calibrate with. For ``calibrate`` and ``abstain_at_precision`` labelled ones, in
            class folders; the run's validation split if left out. For int8 training images, whose values its ranges
            are taken from; the run's training split if left out.
        calibrate_n: How many of them int8 takes at most.
        carry_n: How many images of the gate an int8 file carries at most, as small JPEGs, for engines that it is not
            proved on; with 0 it carries none, and other engines refuse it.
        options: With ``model``: its options.
        observer: Hears notes and progress.

    Returns:
        The result, of several precisions the first one's with the others in ``more``; ``file`` is None where the gate
        or a budget was broken and nothing was written.

    Raises:
        OptionError: if options contradict each other, or the precision is unknown.
        ModelError: if the run is damaged or the network cannot be translated.
        DataError: if no image for the gate can be read, or the labelled ones are too few to calibrate with, or no
            threshold reaches the precision.
    """
    from clsbench.exporting.quantizing.result import Budget

    observer, wanted = observer or Observer(), precisions(precision)
    for_confidence = calibrate_images if calibrate or abstain_at_precision is not None or "int8" not in wanted else None
    confidence = Confidence(calibrate, abstain_at_precision, for_confidence)
    reduction = Reduction(
        made_for=made_for, calibrate_images=calibrate_images, calibrate_n=calibrate_n, gate_images=images,
        gate_n=gate_n, carry_n=carry_n, budget=Budget(max_drop, min_speedup, force), device=device,
    )  # fmt: skip
    reduction.check_wanted(wanted)
    wait_passively()
    if model and run:
        raise OptionError("export takes a run or --model, not both", got=f"{run} and --model {model}")
    of_model = bool(pretrained or weights or options or transform or classes is not None)
    if of_model and not model:
        raise OptionError(
            "--pretrained, --weights, --classes, --transform and --with need --model",
            hint="a run has its own weights; `clsbench models` lists the networks",
        )
    target = None if out is None else Path(out)
    if run is not None and is_model_file(run):
        return _of_file(Path(run), wanted, target, reduction, confidence, observer)
    checkpoint = None
    if model:
        checkpoint = Checkpoint(
            model=model, pretrained=pretrained, weights=Path(weights) if weights else None, classes=classes, head=head,
            transform=transform, options=options,
        )  # fmt: skip
    network = _Network(run, checkpoint, images, gate_n, device, gate, confidence, observer)
    with tempfile.TemporaryDirectory() as folder:
        return _of_network(network, wanted, target, reduction, Path(folder))


@dataclass(frozen=True)
class _Network:
    """What is exported from torch, and how it is judged."""

    run: str | Path | None
    checkpoint: Checkpoint | None
    images: Images | None
    gate_n: int | None
    device: str
    gate: Gate | None
    confidence: Confidence
    observer: Observer

    @property
    def default(self) -> Path:
        """Where its float32 file lies by default; finding a run says which."""
        return self.checkpoint.file if self.checkpoint else runs.find(self.name).onnx

    @property
    def name(self) -> str | None:
        """Of the run."""
        return None if self.run is None else str(self.run)

    def exported(self) -> Path | None:
        """The run's float32 file, if there is one of its best weights and nothing is to be added to it."""
        if self.checkpoint or self.confidence:
            return None
        return current_file(runs.find(self.name))

    def write(self, precision: Precision, out: Path | None) -> ExportResult:
        """Export it in float32 or float16."""
        from clsbench.exporting.exporter import export_model
        from clsbench.exporting.gate_images import COUNT, choose_evenly

        observer = self.observer
        trained = as_it_is(self.checkpoint, observer) if self.checkpoint else trained_network(self.run, observer)
        file = out or beside(trained.out, precision)
        outputs = Outputs(observer)
        outputs.add(file, "--out", "the model", ".onnx")
        outputs.refuse(*self._read(), *(each for each in trained.files if each != file))
        if self.images is not None:
            entries, labels, _ = labelled_images(self.images, trained.card)
        else:
            entries, labels = trained.validation()
        outputs.refuse_images(entries)
        if precision == "fp16":
            note_float16(observer)
        card = dataclasses.replace(trained.card, precision=PRECISIONS[precision])
        add = self.confidence.adder(trained.card, trained.validation, trained.out, observer)
        shown = choose_evenly(entries, labels, count=COUNT if self.gate_n is None else self.gate_n)
        observer.note(f"exporting {trained.name}, then comparing it on {counted(len(shown), 'image')}")
        observer.stage("exporting", len(shown))
        opened = partial(open_like_infer, device=self.device)
        with staying(trained.name, trained.owner):
            return export_model(
                trained.classifier, card, shown, file, opened, self.gate, add=add, heard=observer.advance
            )

    def _read(self) -> list[str | Path | None]:
        """Files that were named and must not be replaced."""
        if self.checkpoint is None:
            return []
        classes = self.checkpoint.classes
        return [self.checkpoint.weights, classes if isinstance(classes, str | Path) else None]


def _of_network(
    network: _Network, wanted: Sequence[Precision], out: Path | None, reduction: Reduction, folder: Path
) -> ExportResult:
    """Every precision of a network: float32 from torch, and the others from that file where there are several."""
    if "int8" not in wanted and len(wanted) == 1:
        alone = network.write(wanted[0], out)
        if alone.file and wanted[0] == "fp32":
            note_outdated(alone.file, wanted, network.observer)
        return alone
    made: list[ExportResult] = []
    place = out or network.default
    if "fp32" in wanted:
        made.append(network.write("fp32", place))
        parent = made[0].file
    elif (known := network.exported()) is not None:
        network.observer.note(f"made of the float32 file that is there: {known}")
        parent = known
    else:  # a run keeps the file that its others are made of
        first = network.write("fp32", folder / place.name if network.checkpoint else network.default)
        if first.file is None:
            return first
        parent = first.file
    if parent is None:
        return made[0]
    note_outdated(parent, wanted, network.observer)
    rest = [one for one in wanted if one != "fp32"]
    for one in rest:
        target = out if out and len(wanted) == 1 else beside(place, one)
        made.append(reduction.make(parent, one, target, network.observer))
    return dataclasses.replace(made[0], more=tuple(made[1:]))


def _of_file(
    file: Path, wanted: Sequence[Precision], out: Path | None, reduction: Reduction, confidence: Confidence,
    observer: Observer,
) -> ExportResult:  # fmt: skip
    """Files of fewer bits of a model file, whoever trained it."""
    if "fp32" in wanted:
        raise OptionError(
            "this is an exported file already", where=file, got="--precision fp32", expected="--precision int8 or fp16"
        )
    if confidence:
        raise OptionError(
            "a file of fewer bits keeps the temperature and the threshold of its parent", where=file,
            got="--calibrate or --abstain-at-precision", hint="give these to the export of the network",
        )  # fmt: skip
    made = [
        reduction.make(file, one, out if out and len(wanted) == 1 else beside(out or file, one), observer)
        for one in wanted
    ]
    return dataclasses.replace(made[0], more=tuple(made[1:]))
