"""``export``: a trained network as one self-describing .onnx, proved equal."""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Literal

from clsbench.api.arguments import check_choice
from clsbench.api.checkpoint import Checkpoint, Classes
from clsbench.api.components import Options, registry
from clsbench.api.data import reopen_dataset
from clsbench.api.export_confidence import Confidence
from clsbench.api.gate import labelled_images, open_like_infer
from clsbench.api.observer import Observer
from clsbench.api.outputs import Outputs
from clsbench.errors import DataError, ModelError, OptionError
from clsbench.guard import staying
from clsbench.machine import wait_passively
from clsbench.picture_shape import PictureShape
from clsbench.text import counted, some

if TYPE_CHECKING:
    from clsbench.api.sources import Images
    from clsbench.card import ModelCard
    from clsbench.exporting.exporter import ExportResult
    from clsbench.exporting.gate import Gate
    from clsbench.images.entries import Entry
    from clsbench.models.classifier import Classifier
    from clsbench.runs import Run

#: Precisions of a file, and what its card calls them.
Precision = Literal["fp32", "fp16"]
PRECISIONS: dict[Precision, str] = {"fp32": "float32", "fp16": "float16"}


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
    gate_n: int = 256,
    device: str = "cpu",
    out: str | Path | None = None,
    gate: Gate | None = None,
    precision: Precision = "fp32",
    calibrate: bool = False,
    abstain_at_precision: float | None = None,
    calibrate_images: str | Path | None = None,
    options: Options = (),
    observer: Observer | None = None,
) -> ExportResult:
    """Export to ONNX; the file is written only if it agrees with the network on real images.

    Args:
        run: A run's name or directory; the latest if left out.
        model: Export this model instead of a run: as it is, with its own classes, or a checkpoint of another program.
        pretrained: With ``model``: its published weights.
        weights: With ``model``: weights from a local file.
        classes: With ``weights``: the names of its classes in order, or a file of them (one a line, or JSON).
        head: With ``classes``: what stands between features and logits, such as ``mlp:512``.
        transform: With ``model``: changes of the model's own preprocessing, such as ``{"size": 224}``.
        images: A folder of images for the gate, or an archive or list; the run's validation split if left out.
        gate_n: How many of them to compare at most, spread evenly.
        device: Where the file runs in the gate: the one that is to infer with it, as GPUs compute with less precision.
        out: The file; ``RUN/model.onnx``, or ``MODEL.onnx`` with ``model``, if left out.
        gate: What the file must show; by default the same top-1 everywhere, and probabilities within 0.001
            (fp16: 0.02).
        precision: Of weights and activations: ``fp32``, or ``fp16`` for GPUs.
        calibrate: Fit a temperature to the labelled images, which ``infer`` then divides the logits by.
        abstain_at_precision: Choose the threshold of confidence at and above which this share of the labelled images is
            classified correctly, as estimated; ``infer`` marks what is below.
        calibrate_images: Labelled images for these two, in class folders; the run's validation split if left out.
        options: With ``model``: its options.
        observer: Hears notes and progress.

    Returns:
        The result; ``file`` is None where the gate was not passed and nothing was written.

    Raises:
        OptionError: if options contradict each other, or the precision is unknown.
        ModelError: if the run is damaged or the network cannot be translated.
        DataError: if no image for the gate can be read, or the labelled ones are too few to calibrate with, or no
            threshold reaches the precision.
    """
    from clsbench.exporting.exporter import export_model
    from clsbench.exporting.gate_images import choose_evenly

    observer, confidence = observer or Observer(), Confidence(calibrate, abstain_at_precision, calibrate_images)
    check_choice("precision", precision, tuple(PRECISIONS))
    wait_passively()
    if model and run:
        raise OptionError("export takes a run or --model, not both", got=f"{run} and --model {model}")
    if model:
        file_of_weights = Path(weights) if weights else None
        checkpoint = Checkpoint(
            model=model, pretrained=pretrained, weights=file_of_weights, classes=classes, head=head,
            transform=transform, options=options,
        )  # fmt: skip
        trained = _as_it_is(checkpoint, observer)
    elif pretrained or weights or options or transform or classes is not None:
        raise OptionError(
            "--pretrained, --weights, --classes, --transform and --with need --model",
            hint="a run has its own weights; `clsbench models` lists the networks",
        )
    else:
        trained = trained_network(run, observer)
    file = Path(out) if out is not None else trained.out
    outputs = Outputs(observer)
    outputs.add(file, "--out", "the model", ".onnx")
    outputs.refuse(weights, classes if isinstance(classes, str | Path) else None, *trained.files)
    if images is not None:
        entries, labels, _ = labelled_images(images, trained.card)
    else:
        entries, labels = trained.validation()
    outputs.refuse_images(entries)
    card = _with_precision(trained.card, precision, observer)
    add = confidence.adder(trained.card, trained.validation, trained.out, observer)
    shown = choose_evenly(entries, labels, count=gate_n)
    observer.note(f"exporting {trained.name}, then comparing it on {counted(len(shown), 'image')}")
    observer.stage("exporting", len(shown))
    opened = partial(open_like_infer, device=device)
    with staying(trained.name, trained.owner):
        return export_model(trained.classifier, card, shown, file, opened, gate, add=add, heard=observer.advance)


def _with_precision(card: ModelCard, precision: Precision, observer: Observer) -> ModelCard:
    if precision == "fp16":
        observer.note("float16 is for GPUs: on most CPUs this file will be slower than one of float32")
    return dataclasses.replace(card, precision=PRECISIONS[precision])


#: Preprocessing that differs between those who train.
SHOWN = ("size", "resize", "crop_fraction", "mean", "std", "pad")


@dataclass(frozen=True)
class Trained:
    """A network to export.

    Args:
        name, owner: Of its model component, and of the plugin that offers it, if one does.
        classifier: With its weights.
        card: What the file is to say about itself.
        out: Where to write it by default.
        files: Those of the run, which the file must not replace, but for an earlier export.
        run: Where it was trained here.
    """

    name: str
    owner: str | None
    classifier: Classifier
    card: ModelCard
    out: Path
    files: Sequence[Path] = ()
    run: Run | None = None

    def validation(self) -> tuple[list[Entry], list[int] | None]:
        """Images for the gate: the run's validation split with its labels, or two photos cropped many ways.

        Raises:
            DataError: if they cannot be read.
        """
        if self.run is None:
            from clsbench.exporting.gate_images import embedded_photos

            return embedded_photos(), None
        try:
            samples = reopen_dataset(self.run)[0].samples("val")
        except DataError as error:
            raise DataError(
                "the run's images, which the gate needs, cannot be read", where=self.run.read_record().data.root,
                got=error.one_line(), hint="name others: export --gate-images DIR, verify --images DIR",
            ) from None  # fmt: skip
        known = [sample for sample in samples if sample.label is not None]
        return [sample.image for sample in known], [sample.label for sample in known if sample.label is not None]


def trained_network(name: str | Path | None, observer: Observer) -> Trained:
    """The trained network of a run, and its card.

    Raises:
        ModelError: if there is no such run, it has no result, or its weights do not fit.
    """
    from clsbench import __version__, runs
    from clsbench.card import ModelCard, ModelSource
    from clsbench.exporting.exporter import check_same_preprocessing
    from clsbench.models.classifier import with_transform
    from clsbench.models.heads import parse_head, with_head
    from clsbench.models.loading import load_state
    from clsbench.models.weights import read_state

    run = runs.find(str(name) if name is not None else None)
    record = run.read_record()
    if name is None:
        observer.note(f"exporting the latest run: {run.path}")
    shortfall = record.shortfall()
    if record.result is None:
        raise ModelError(
            shortfall or "the run has no result", where=run.record, got="no weights",
            hint="train again, or name another run: `clsbench runs` lists them",
        )  # fmt: skip
    if shortfall:
        observer.note(shortfall)
    if leftovers := run.leftovers():
        observer.note(f"  unfinished files, which nothing reads: {some([str(file) for file in leftovers])}")
    trained, head = record.model, str(record.training.get("head", "linear"))
    # Where the weights started from is the run's business, and a path of its machine.
    options = {k: v for k, v in trained.options.items() if k not in ("pretrained", "weights")}
    result = {k: v for k, v in asdict(record.result).items() if k != "unreadable"}
    card = ModelCard(
        classes=record.classes,
        transform=record.transform,
        model=ModelSource(trained.name, trained.distribution, trained.version, options, head),
        training={"run": run.name, "data": record.data.dataset, **record.training, "status": record.status, **result},
        clsbench_version=__version__,
    )
    resolved = registry().resolve("model", trained.name)
    built = resolved.build(len(card.classes), **options)
    built = with_transform(built, PictureShape.from_json(trained.shape).apply(built.transform))
    classifier = with_head(built, parse_head(head), len(card.classes))
    check_same_preprocessing(classifier, card)
    load_state(classifier, read_state(run.best), head="head", where=run.best)
    loaded = classifier.loaded
    if not (loaded and loaded.head and loaded.complete):
        raise ModelError(
            "the weights are not those of the network that run.json describes",
            where=run.best,
            got="; ".join([loaded.head_reason, *loaded.left_out()]) if loaded else None,
            expected=f"all of its tensors, and a {head} head for {counted(len(card.classes), 'class')}",
        )
    files = [file for file in run.files if file != run.onnx]
    return Trained(trained.name, resolved.owner, classifier, card, run.onnx, files, run=run)


def _as_it_is(checkpoint: Checkpoint, observer: Observer) -> Trained:
    """A network that clsbench did not train, and its card."""
    classifier, card, owner = checkpoint.open(observer)
    if checkpoint.weights:
        how = ", ".join(f"{key} {value}" for key, value in card.transform.to_json().items() if key in SHOWN)
        observer.note(f"preprocessing, which the weights do not say: {how}; change it with --transform KEY=VALUE")
    out = Path(f"{checkpoint.model.replace('/', '-')}.onnx")
    return Trained(checkpoint.model, owner, classifier, card, out)
