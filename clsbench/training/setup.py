"""What a training and a learning-rate search begin with: a network, and its images read and checked."""

from __future__ import annotations

from collections.abc import Callable, Collection
from dataclasses import dataclass, field
from pathlib import Path

import torch
from torch import Tensor

from clsbench.datasets.data_check import DataCheck, check_dataset
from clsbench.datasets.dataset import Dataset
from clsbench.datasets.near_duplicates import Hashed
from clsbench.errors import ModelError
from clsbench.images.loader import ImageLoader
from clsbench.images.sources.source import reading_threads
from clsbench.machine import available_cores
from clsbench.models.classifier import Classifier, check_outputs
from clsbench.models.heads import parse_head, with_head
from clsbench.training.augmentation import Augmentation
from clsbench.training.batches import Batches
from clsbench.training.config import Policy, TrainConfig
from clsbench.training.features import Features, FrozenBackbone, cache_features
from clsbench.training.hardware import fitting_threads, operations, put_on
from clsbench.training.observer import Observer
from clsbench.training.processes import Processes
from clsbench.training.recipes import Stage
from clsbench.training.storage import choose_storage
from clsbench.training.stored_images import StoredImages
from clsbench.training.transfer import fits_on_device


def build_classifier(
    build_model: Callable[[], Classifier], dataset: Dataset, config: TrainConfig, observer: Observer, *, name: str
) -> Classifier:
    """The seeded network with its head, on the CPU; says what was loaded from a weights file.

    Args:
        build_model: Called once, after seeding.
        dataset: Its classes are counted.
        config: Seed and head.
        observer: Hears of the weights.
        name: Of the model, for messages.

    Raises:
        ModelError: if it is not a Classifier, or its features or logits have the wrong shape.
    """
    torch.manual_seed(config.seed)
    classifier = build_model()
    if not isinstance(classifier, Classifier):
        raise ModelError(f"{name} did not build a Classifier", got=type(classifier).__name__)
    classifier = with_head(classifier, parse_head(config.head), len(dataset.classes))
    check_outputs(classifier, len(dataset.classes), name=name)
    if loaded := classifier.loaded:
        observer.loaded(loaded, config.recipe)
    return classifier


@dataclass
class Setup:
    """A network and the images of its training.

    Args:
        classifier: On ``device``.
        config: How to train.
        num_classes: K.
        train, val: Images, read once.
        test: The same, where the dataset has a test split.
        folder: Where things too large for memory may lie.
        observer: Hears how it goes.
        processes: That train together.
    """

    classifier: Classifier
    config: TrainConfig
    num_classes: int
    train: StoredImages
    val: StoredImages
    test: StoredImages | None
    folder: Path
    observer: Observer
    processes: Processes
    _cached: dict[int, tuple[Features, Features] | None] = field(default_factory=dict)

    @property
    def device(self) -> torch.device:
        """Of network and batches."""
        return self.processes.device

    def batches(self, stage: Stage) -> tuple[Batches, Batches, bool]:
        """Training and validation batches of a stage, and whether they hold features.

        The head alone is trained on cached features, unless new views are wanted in every epoch,
        or images are to be mixed.
        """
        mixed = self.config.mixup > 0 or self.config.cutmix > 0
        views = self.config.views if stage.frozen_backbone else 0
        cached = self._features(views) if views and not mixed else None
        train, val = cached or (self.train, self.val)
        size, seed = self.config.batch_size, self.config.seed
        return (
            Batches(
                train,
                size,
                self.device,
                seed,
                shuffle=True,
                balanced=self.config.sampler == "balanced",
                views=views,
                processes=self.processes,
            ),
            Batches(val, size, self.device, processes=self.processes),
            cached is not None,
        )

    def _features(self, views: int) -> tuple[Features, Features] | None:
        """Training and validation features, evaluated once while the backbone stays as it is."""
        if views not in self._cached:
            total = views * len(self.train.indices) + len(self.val.indices)
            self.observer.stage("features", total)
            backbone = FrozenBackbone(
                self.classifier, self.device, total, operations(self.classifier, self.example) // 2
            )
            with fitting_threads(self.classifier, self.example, backbone.batch_size):
                train, val = (
                    cache_features(
                        backbone, images, self.classifier.feature_dim, views=count, device=self.device,
                        cache=self.config.cache, folder=self.folder, heard=self.observer.advance,
                        processes=self.processes,
                    )
                    for images, count in ((self.train, views), (self.val, 1))
                )  # fmt: skip
            self._cached[views] = (train, val) if train and val else None
        return self._cached[views]

    def class_weights(self) -> Tensor | None:
        """n / (K · count) of each class, float32 (K,), as scikit-learn's ``balanced``; None if not asked for."""
        if self.config.class_weights == "none":
            return None
        labels = torch.from_numpy(self.train.labels[self.train.indices])
        counts = torch.bincount(labels, minlength=self.num_classes)
        return (counts.sum() / (self.num_classes * counts.clamp(min=1))).float().to(self.device)

    @property
    def example(self) -> Tensor:
        """Two empty images as the network takes them."""
        return torch.zeros(2, *self.classifier.transform.size, 3, dtype=torch.uint8, device=self.device)

    @property
    def everything(self) -> list[StoredImages]:
        """The images of all splits."""
        return [self.train, self.val, *([self.test] if self.test else [])]

    def unreadable(self) -> dict[str, str]:
        """Names of images that were left out, with the reason."""
        return {name: reason for images in self.everything for name, reason in images.unreadable.items()}

    def close(self) -> None:
        """Let go of memory and threads."""
        for images in self.everything:
            images.close()


def images_of(
    dataset: Dataset, split: str, classifier: Classifier, config: TrainConfig, *, policy: Policy = "none"
) -> StoredImages:
    """The images of a split, not read yet."""
    samples = dataset.samples(split)
    augmentation = Augmentation(policy, classifier.transform, len(samples), mirrored=dataset.mirrored, seed=config.seed)
    loader = ImageLoader(classifier.transform)
    threads = reading_threads([sample.image for sample in samples[:64]], available_cores())
    return StoredImages(samples, loader, augmentation, threads=threads, split=f"the {split} split")


def set_up(
    classifier: Classifier,
    dataset: Dataset,
    config: TrainConfig,
    observer: Observer,
    folder: Path,
    *,
    strict: bool = False,
    ignore: Collection[str] = (),
    processes: Processes | None = None,
) -> tuple[Setup, DataCheck]:
    """Read all images once, check the data, and put the network on its device.

    Args:
        classifier: From :func:`build_classifier`.
        dataset: With the splits ``train`` and ``val``.
        config: How to train.
        observer: Hears how it goes.
        folder: Where things too large for memory may lie.
        strict: Whether anything the data check finds is an error.
        ignore: Kinds of finding that are neither told nor an error.
        processes: That train together; this one alone if left out.

    Raises:
        DataError: if a split is missing or unreadable, or the check found something in strict mode.
    """
    processes = processes or Processes(config.device)
    train = images_of(dataset, "train", classifier, config, policy=config.augment)
    val = images_of(dataset, "val", classifier, config)
    test = images_of(dataset, "test", classifier, config) if dataset.splits.get("test") else None
    setup = Setup(classifier, config, len(dataset.classes), train, val, test, folder, observer, processes)
    size = sum(images.stored_bytes for images in setup.everything)
    place = processes.from_main(choose_storage(size * processes.local_count, config.cache, folder))
    observer.stage("reading", sum(len(images.samples) for images in setup.everything))
    # The small splits first: that one of them cannot be read is known before the large one is.
    for images in sorted(setup.everything, key=lambda images: len(images.samples)):
        images.prepare(place, folder, observer.advance, decode=strict, processes=processes)
    digests = {name: digest for images in setup.everything for name, digest in images.digests.items()}
    names = ["train", "val", *(["test"] if test else [])]
    hashed = {
        name: Hashed(images.samples, images.hashes, images.hashed)
        for name, images in zip(names, setup.everything, strict=True)
    }
    check = check_dataset(dataset, unreadable=setup.unreadable(), digests=digests, hashed=hashed, ignore=ignore)
    if strict:
        check.refuse(dataset.root)
    elif place == "off":
        observer.note("images are not kept, so near-duplicates are not looked for (--strict-data does)")
    observer.checked(check)
    put_on(setup.device, classifier)
    if fits_on_device(size, setup.device):
        for images in setup.everything:
            images.move_to(setup.device)
    return setup, check
