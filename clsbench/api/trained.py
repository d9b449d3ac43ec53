"""A network to export: of a run, or as it was published."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from clsbench.api.checkpoint import Checkpoint
from clsbench.api.components import registry
from clsbench.api.export_precision import samples_of
from clsbench.api.observer import Observer
from clsbench.errors import ModelError
from clsbench.picture_shape import PictureShape
from clsbench.text import counted, some

if TYPE_CHECKING:
    from clsbench.card import ModelCard
    from clsbench.images.entries import Entry
    from clsbench.models.classifier import Classifier
    from clsbench.runs import Run

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
        return samples_of(self.run, "val")


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
            code="CB-M010",
        )
    files = [file for file in run.files if file != run.onnx]
    return Trained(trained.name, resolved.owner, classifier, card, run.onnx, files, run=run)


def as_it_is(checkpoint: Checkpoint, observer: Observer) -> Trained:
    """A network that clsbench did not train, and its card."""
    classifier, card, owner = checkpoint.open(observer)
    if checkpoint.weights:
        how = ", ".join(f"{key} {value}" for key, value in card.transform.to_json().items() if key in SHOWN)
        observer.note(f"preprocessing, which the weights do not say: {how}; change it with --transform KEY=VALUE")
    return Trained(checkpoint.model, owner, classifier, card, checkpoint.file)


def current_file(run: Run) -> Path | None:
    """The run's float32 file; None where there is none, or one of an epoch that is not the best any more."""
    from clsbench.model_file import read_card

    if not run.onnx.is_file():
        return None
    card, result = read_card(run.onnx), run.read_record().result
    fits = result is None or card.training.get("best_epoch") in (None, result.best_epoch)
    return run.onnx if fits and card.precision == "float32" else None
