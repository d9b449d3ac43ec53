"""``train`` and ``find_lr``: from labelled images to a run directory, and to a learning rate."""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import TYPE_CHECKING, Any

from clsbench.api.arguments import check_at_least, check_training_packages
from clsbench.api.components import Chosen, Options, with_size
from clsbench.api.data import choose_dataset, data_location, note_dataset, open_dataset, refuse_dataset
from clsbench.api.observer import Observer
from clsbench.api.outputs import Outputs
from clsbench.api.starting_weights import StartingWeights, find_weights
from clsbench.errors import OptionError
from clsbench.guard import staying
from clsbench.images.sources.urls import redacted
from clsbench.machine import wait_passively
from clsbench.models.heads import parse_head
from clsbench.output_files import check_folder
from clsbench.picture_shape import GivenSize, PictureShape
from clsbench.run_record import RunData, RunModel
from clsbench.runs import ROOT, Run, check_name, plain
from clsbench.training.config import AUTO, read_options
from clsbench.transform import Interpolation, Resize

if TYPE_CHECKING:
    from clsbench.datasets.dataset import Dataset
    from clsbench.datasets.splits import SplitSpec
    from clsbench.models.classifier import Classifier
    from clsbench.training.config import TrainConfig
    from clsbench.training.lr_finder import RangeTest
    from clsbench.training.training_run import TrainingResult


def train(
    data: str | Path | None = None,
    *,
    dataset: str | None = None,
    model: str = "simple-cnn",
    pretrained: bool = False,
    weights: str | Path | None = None,
    size: GivenSize | None = None,
    resize: Resize | None = None,
    pad: str | Sequence[int] | None = None,
    interpolation: Interpolation | None = None,
    run: str | None = None,
    val_fraction: float | None = None,
    test_fraction: float | None = None,
    folds: int | None = None,
    fold: int | None = None,
    data_fraction: float | None = None,
    strict_data: bool = False,
    options: Options = (),
    observer: Observer | None = None,
    **training: object,
) -> TrainingResult:
    """Train a classifier on labelled images; writes ``runs/NAME``.

    Args:
        data: A folder of class folders, or a .csv; the digits if left out.
        dataset: The dataset component; chosen by ``data`` if left out.
        model: The model component.
        pretrained: Start from published weights.
        weights: Start from a local weights file, or from the best weights of a run by its name or directory.
        size: Side of the square images that the network takes, or (height, width), pixels; the model's own if left out.
        resize: How images are brought to that size: ``crop`` cuts off what is too long, ``squash`` ignores the aspect
            ratio, ``squash-crop`` does both, ``letterbox`` pads. What is left out of these is the model's own.
        pad: Colour of the padding of ``letterbox``: (R, G, B) or a text ``R,G,B``, 0 to 255; or ``mean``.
        interpolation: The resampling filter.
        run: Name of the run directory.
        val_fraction, test_fraction, folds, fold: How to make the splits that the data does not give.
        data_fraction: Train on this part of each class of the train split; on all of it if left out.
        strict_data: Refuse to train if the data check finds anything.
        options: Options of model and dataset, such as ``{"model.width": 64}``.
        observer: Hears notes, warnings and progress.
        training: Fields of :class:`clsbench.training.config.TrainConfig`, such as ``epochs=5, lr="auto"``;
            what is left out is decided by the recipe.

    Raises:
        OptionError: for unknown names or options, or options that contradict each other.
        DataError: if the images are not as required.
        ModelError: if the model cannot be built, or training diverges at once.
        KeyboardInterrupt, SystemExit: after Ctrl-C or SIGTERM. From the first epoch on the run keeps its
            best weights, and can be exported.

    On a CPU, idle threads sleep rather than spin (``OMP_WAIT_POLICY=PASSIVE``, unless the environment
    says otherwise), which keeps training fast beside other programs. A program that imported torch
    before has to set the variable itself, before that import.
    """
    observer = observer or Observer()
    wait_passively()
    # Wrong usage is refused before images are looked for, or downloaded.
    read_options(training)
    parse_head(str(training.get("head") or "linear"))
    shape = PictureShape.asked(size, resize, pad, interpolation)
    check_name(run)
    check_folder(ROOT.absolute(), "the run")
    splits = {"val_fraction": val_fraction, "test_fraction": test_fraction, "folds": folds, "fold": fold}
    splits["data_fraction"] = data_fraction
    outputs = Outputs(observer)
    if run:
        outputs.refuse(*Run(ROOT / run).files)  # none of them is there yet
    inputs = _open(data, dataset, model, pretrained, weights, shape, splits, options, observer, training)
    outputs.refuse(inputs.start.file if inputs.start else None)
    refuse_dataset(outputs, inputs.images, data)
    from clsbench.training.training_run import run_training

    config, auto = inputs.configure(training), training.get("lr") == AUTO
    with inputs.staying():
        return run_training(
            inputs.build_model,
            inputs.images,
            config,
            observer,
            data=inputs.data,
            model=inputs.model,
            split=inputs.spec.to_json(),
            run_name=run,
            auto_lr=auto,
            strict=strict_data,
        )


def find_lr(
    data: str | Path | None = None,
    *,
    dataset: str | None = None,
    model: str = "simple-cnn",
    pretrained: bool = False,
    weights: str | Path | None = None,
    size: GivenSize | None = None,
    resize: Resize | None = None,
    pad: str | Sequence[int] | None = None,
    interpolation: Interpolation | None = None,
    val_fraction: float | None = None,
    test_fraction: float | None = None,
    data_fraction: float | None = None,
    unfrozen: bool = False,
    steps: int = 100,
    out: str | Path | None = None,
    options: Options = (),
    observer: Observer | None = None,
    **training: object,
) -> RangeTest:
    """Find a learning rate: raise it step by step, and read two suggestions off the loss.

    Args:
        data, dataset, model, pretrained, weights, size, resize, pad, interpolation: As in :func:`train`.
        val_fraction, test_fraction, data_fraction, options, observer: As in :func:`train`.
        unfrozen: Test the stage in which everything learns, rather than the recipe's first stage.
        steps: Learning rates to try.
        out: A PNG of the curve.
        training: Fields of :class:`clsbench.training.config.TrainConfig`.

    Raises:
        ClsbenchError: as :func:`train`.
    """
    observer, curve = observer or Observer(), Path(out) if out is not None else None
    wait_passively()
    outputs = Outputs(observer)
    outputs.add(curve, "--out", "the image", ".png")
    check_at_least("steps", steps, 20)
    read_options(training)
    shape = PictureShape.asked(size, resize, pad, interpolation)
    splits = {"val_fraction": val_fraction, "test_fraction": test_fraction, "data_fraction": data_fraction}
    inputs = _open(data, dataset, model, pretrained, weights, shape, splits, options, observer, training)
    outputs.refuse(inputs.start.file if inputs.start else None)
    refuse_dataset(outputs, inputs.images, data)
    from clsbench.training.lr_finder import range_test, save_range_test
    from clsbench.training.setup import build_classifier, set_up

    config = inputs.configure(training)
    if unfrozen and config.recipe == "frozen":
        raise OptionError("the recipe frozen never trains the whole network", where="--unfrozen", hint="leave it out")
    classifier = build_classifier(inputs.build_model, inputs.images, config, observer, name=inputs.network.name)
    with TemporaryDirectory() as folder, inputs.staying():
        setup, _ = set_up(classifier, inputs.images, config, observer, Path(folder))
        try:
            test = range_test(setup, steps=steps, unfrozen=unfrozen)
        finally:
            setup.close()
    if curve:
        save_range_test(test, curve)
    return test


@dataclass(frozen=True)
class _Inputs:
    """What a training begins with.

    Args:
        images: The dataset, split.
        data, model: What run.json says about dataset and network.
        network: The model component with its options.
        shape: What was asked of its input.
        spec: How the dataset was split.
        start: The weights to start from, if they were named.
    """

    images: Dataset
    data: RunData
    model: RunModel
    network: Chosen
    shape: PictureShape
    spec: SplitSpec
    start: StartingWeights | None

    def build_model(self) -> Classifier:
        """The network for the classes of the dataset."""
        from clsbench.models.classifier import with_transform

        classifier: Classifier = self.network.build(len(self.images.classes))
        if self.shape.to_json():
            classifier = with_transform(classifier, self.shape.apply(classifier.transform))
        if self.start:
            self.start.compare(classifier, self.images.classes)
        return classifier

    def staying(self) -> AbstractContextManager[None]:
        """Within, a plugin's network does not end the program."""
        return staying(self.network.name, self.network.resolved.owner)

    def configure(self, training: dict[str, object]) -> TrainConfig:
        """The recipe's defaults under what a user asked for, on a device that is there."""
        from clsbench.training.recipes import configure

        started = bool(self.network.options.get("pretrained") or self.network.options.get("weights"))
        return configure(pretrained=started, **training)  # type: ignore[arg-type]


def _open(
    data: str | Path | None,
    dataset: str | None,
    model: str,
    pretrained: bool,
    weights: str | Path | None,
    shape: PictureShape,
    splits: dict[str, Any],
    options: Options,
    observer: Observer,
    training: dict[str, object],
) -> _Inputs:
    """Turn names into objects, and tell what was found."""
    root = data_location(data)
    splits["seed"] = training.get("seed")
    source, spec, picked = choose_dataset(dataset, root, options, {"model": [model]}, **splits)
    network, start = picked["model"][0], find_weights(weights) if weights else None
    network = with_size(network, shape).asked(pretrained=pretrained, weights=start.file if start else None)
    shape = shape.over(start.record.model.shape if start and start.record else {})
    if start:
        network = start.network(network)
    images = open_dataset(source, root, spec)
    place = f" {redacted(str(data))}" if data else ""
    note_dataset(images, f"{source.resolved.component.name}{place}", observer)
    check_training_packages()
    plugin = network.resolved.plugin
    return _Inputs(
        images,
        RunData(dataset=source.name, root=_recorded(root), options=plain(source.options)),
        RunModel(
            name=network.name,
            distribution=plugin.distribution,
            version=plugin.version,
            pretrained=bool(network.options.get("pretrained")),
            options=plain(network.options),
            shape=shape.to_json(),
        ),
        network,
        shape,
        spec,
        start,
    )


def _recorded(root: Path | str | None) -> str | None:
    """Where the images are, as run.json has it: an absolute path, or a URL without what is secret in it."""
    return str(root.resolve()) if isinstance(root, Path) else redacted(root) if root else None
