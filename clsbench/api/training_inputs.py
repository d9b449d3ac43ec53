"""What a training begins with: names become a dataset in its splits and a network with its weights."""

from __future__ import annotations

from contextlib import AbstractContextManager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, cast

from clsbench.api.arguments import check_training_packages
from clsbench.api.components import Chosen, with_size
from clsbench.api.data import choose_dataset, data_location, note_dataset, open_dataset
from clsbench.api.observer import Observer
from clsbench.api.repeat import Recorded
from clsbench.api.starting_weights import StartingWeights, find_weights
from clsbench.guard import staying
from clsbench.images.sources.urls import redacted
from clsbench.picture_shape import PictureShape
from clsbench.run_record import RunData, RunModel
from clsbench.runs import plain

if TYPE_CHECKING:
    from clsbench.datasets.dataset import Dataset
    from clsbench.datasets.splits import SplitSpec
    from clsbench.json_fields import Scalar
    from clsbench.models.classifier import Classifier
    from clsbench.training.config import TrainConfig


#: Options of a model that say where its weights come from.
WEIGHTS = ("pretrained", "weights")


@dataclass(frozen=True)
class TrainingInputs:
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


def open_inputs(asked: Recorded, observer: Observer) -> TrainingInputs:
    """Turn names into objects, and tell what was found; the splits have the seed of the training without their own."""
    root, names = data_location(asked.data), {"model": [asked.model or "simple-cnn"]}
    splits = {"seed": cast("Scalar", asked.training.get("seed")), **asked.splits}
    source, spec, picked = choose_dataset(asked.dataset, root, asked.options, names, **splits)
    network, start = picked["model"][0], find_weights(asked.weights) if asked.weights else None
    network = with_size(network, asked.shape).asked(pretrained=asked.pretrained, weights=start.file if start else None)
    shape = asked.shape.over(start.record.model.shape if start and start.record else {})
    if start:
        network = start.network(network)
    images = open_dataset(source, root, spec)
    place = f" {redacted(str(asked.data))}" if asked.data else ""
    note_dataset(images, f"{source.resolved.component.name}{place}", observer)
    check_training_packages()
    plugin = network.resolved.plugin
    options_given = dict(network.options)
    if start:  # as the data, so that a run can be gone on with from elsewhere
        options_given["weights"] = start.file.resolve()
    return TrainingInputs(
        images,
        RunData(
            dataset=source.name,
            root=_recorded(root),
            options=plain(source.options),
            defaults=plain(source.defaults),
            distribution=source.resolved.plugin.distribution,
            version=source.resolved.plugin.version,
        ),
        RunModel(
            name=network.name,
            distribution=plugin.distribution,
            version=plugin.version,
            pretrained=bool(network.options.get("pretrained")),
            options=plain(options_given),
            defaults=plain({k: v for k, v in network.defaults.items() if k not in WEIGHTS}),
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
