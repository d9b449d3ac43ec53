"""Tiny images, tiny networks, and a whole training of them."""

from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np
import pytest
import torch
from torch import nn

from clsbench.datasets.dataset import Dataset, Sample
from clsbench.images.entries import PixelsEntry
from clsbench.models import simple_cnn
from clsbench.models.classifier import Classifier
from clsbench.runs import create
from clsbench.training.augmentation import mixing
from clsbench.training.config import TrainConfig
from clsbench.training.loop import Trainer
from clsbench.training.recipes import stages
from clsbench.training.setup import Setup, set_up
from clsbench.transform import ImageTransform


class Hearing:
    """An observer that remembers everything."""

    def __init__(self) -> None:
        self.stages, self.advanced, self.losses, self.epochs = [], 0, [], []
        self.paces, self.batches, self.plans, self.notes, self.warnings = [], [], [], [], []

    def note(self, text):
        self.notes.append(text)

    def warn(self, text):
        self.warnings.append(text)

    def planned(self, plan):
        self.plans.append(plan)

    def pace(self, result):
        self.paces.append(result)

    def batch(self, result):
        self.batches.append(result)

    def loaded(self, report, recipe):
        pass

    def checked(self, check):
        self.check = check

    def stage(self, name, total):
        self.stages.append((name, total))

    def advance(self, count):
        self.advanced += count

    def loss(self, epoch, loss):
        self.losses.append((epoch, loss))

    def epoch(self, result):
        self.epochs.append(result)


@pytest.fixture(autouse=True)
def one_thread() -> Iterator[None]:
    """More threads would only wait for each other in networks this small."""
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(before)


@pytest.fixture
def observer() -> Hearing:
    return Hearing()


@pytest.fixture
def colours() -> Callable[..., list[Sample]]:
    """colours(count): noisy red, green and blue images; a shift of 1 labels every one of them wrongly."""

    def colours(count: int, *, shift: int = 0, seed: int = 0, split: str = "train") -> list[Sample]:
        pixels = np.random.default_rng(seed).integers(0, 90, (count, 8, 8, 3), dtype=np.uint8)
        for k in range(count):
            pixels[k, :, :, k % 3] += 120
        return [Sample(PixelsEntry(f"{split}/{k}.png", pixels[k]), (k + shift) % 3) for k in range(count)]

    return colours


@pytest.fixture
def pictures(colours: Callable[..., list[Sample]]) -> Callable[..., Dataset]:
    """images(): a dataset of three colours, with other samples where they are given."""

    def pictures(**splits: list[Sample]) -> Dataset:
        splits = {"train": colours(24), "val": colours(9, seed=1, split="val"), **splits}
        return Dataset(classes=("red", "green", "blue"), splits=splits)

    return pictures


@pytest.fixture
def tiny() -> Callable[[], Classifier]:
    """tiny(): the same small network each time."""

    def tiny() -> Classifier:
        torch.manual_seed(0)
        return simple_cnn.build(3, size=8, channels=2, width=8)

    return tiny


@pytest.fixture
def normed() -> Callable[..., Classifier]:
    """normed(): a network with batch normalisation whose statistics are those of some images."""

    def normed(head: nn.Module | None = None) -> Classifier:
        torch.manual_seed(0)
        backbone = nn.Sequential(
            nn.Sequential(nn.Conv2d(3, 6, 3, padding=1), nn.BatchNorm2d(6), nn.ReLU()),
            nn.Sequential(nn.Conv2d(6, 6, 3, padding=1), nn.BatchNorm2d(6), nn.ReLU()),
            nn.Sequential(nn.AdaptiveAvgPool2d(2), nn.Flatten()),
        )
        backbone(torch.randn(16, 3, 8, 8))
        half = (0.5, 0.5, 0.5)
        transform = ImageTransform(size=(8, 8), mean=half, std=half)
        return Classifier(backbone, head or nn.Linear(24, 3), transform=transform, feature_dim=24)

    return normed


@pytest.fixture
def configured() -> Callable[..., TrainConfig]:
    """configured(lr=…): small batches, few epochs, no augmentation."""

    def configured(**options: object) -> TrainConfig:
        return TrainConfig(**{"epochs": 2, "lr": 0.05, "batch_size": 6, "augment": "none", **options})

    return configured


@pytest.fixture
def set_up_for(tmp_path: Path, observer: Hearing) -> Callable[..., Setup]:
    """set_up_for(classifier, dataset, config): its images are read."""
    return lambda classifier, dataset, config: set_up(classifier, dataset, config, observer, tmp_path)[0]


@pytest.fixture
def train(tmp_path: Path, observer: Hearing, set_up_for: Callable[..., Setup]) -> Callable[..., Trainer]:
    """train(classifier, dataset, config): all stages of the recipe."""

    def train(classifier: Classifier, dataset: Dataset, config: TrainConfig, name: str = "run") -> Trainer:
        setup = set_up_for(classifier, dataset, config)
        torch.manual_seed(config.seed)
        trainer = Trainer(
            classifier, config, create(name, default="x", root=tmp_path / "runs"), observer,
            class_weights=setup.class_weights(), mix=mixing(config.mixup, config.cutmix, 3),
        )  # fmt: skip
        for stage in stages(classifier, config):
            batches, val, features = setup.batches(stage)
            trainer.run_stage(stage, batches, val, features=features)
        setup.close()
        return trainer

    return train
