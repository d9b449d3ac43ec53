"""One training run from a dataset to a run directory."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import asdict, dataclass
from typing import Any, Protocol

import torch

from clsbench import __version__
from clsbench.datasets.dataset import Dataset
from clsbench.errors import ModelError
from clsbench.images.loader import ImageLoader
from clsbench.inference.machine import available_cores
from clsbench.models.classifier import Classifier
from clsbench.runs import Run, create
from clsbench.training.batches import Batches, basic_augmentation, plain
from clsbench.training.curves import save_curves
from clsbench.training.loop import Epoch, Observer, TrainConfig, fit


class SessionObserver(Observer, Protocol):
    """Hears how a session goes."""

    def begin(self, steps: int) -> None:
        """Before the first batch: the number of batches an epoch."""


@dataclass(frozen=True)
class Result:
    """What a session made."""

    run: Run
    classifier: Classifier
    history: list[Epoch]
    warnings: list[str]

    @property
    def best(self) -> Epoch:
        """The epoch whose weights were kept."""
        return max(self.history, key=lambda e: (e.val_accuracy, -e.val_loss))


def describe_run(
    config: TrainConfig,
    *,
    data: dict[str, Any],
    model: dict[str, Any],
    batch_size: int,
    augment: str,
    seed: int,
) -> dict[str, Any]:
    """The resolved configuration as run.json holds it: enough to repeat the run."""
    return {
        "schema": 1,
        "clsbench": __version__,
        "torch": torch.__version__,
        "data": data,
        "model": model,
        "training": {**asdict(config), "batch_size": batch_size, "augment": augment, "seed": seed},
    }


def run_training(
    build_model: Callable[[], Classifier],
    dataset: Dataset,
    config: TrainConfig,
    facts: dict[str, Any],
    observer: SessionObserver,
    *,
    run_name: str | None = None,
) -> Result:
    """Train a model on a dataset and fill a run directory.

    Args:
        build_model: Called once, after seeding.
        dataset: With the splits ``train`` and ``val``.
        config: How to train.
        facts: From :func:`describe_run`; goes into run.json.
        observer: Hears how it goes.
        run_name: The directory's name, or None for a generated one.

    Raises:
        DataError: if a split is missing or none of its pictures can be read.
        OptionError: if the run's name is taken.
    """
    settings = facts["training"]
    samples, val_samples = dataset.samples("train"), dataset.samples("val")
    torch.manual_seed(settings["seed"])
    classifier = build_model()
    if not isinstance(classifier, Classifier):
        raise ModelError("a model plugin returned no Classifier", got=type(classifier).__name__)
    loader = ImageLoader(classifier.transform)
    basic = settings["augment"] == "basic"
    load = basic_augmentation(loader, mirrored=dataset.mirrored) if basic else plain(loader)
    shared = {"batch_size": settings["batch_size"], "threads": available_cores(), "seed": settings["seed"]}
    train = Batches(samples, load, shuffle=True, **shared)
    val = Batches(val_samples, plain(loader), **shared)

    run = create(run_name, default=f"{facts['data']['dataset']}-{facts['model']['name']}".replace("clsbench/", ""))
    facts = {
        **facts,
        "classes": list(dataset.classes),
        "transform": classifier.transform.to_json(),
        "counts": {split: len(items) for split, items in dataset.splits.items()},
        "validation": [sample.name for sample in val_samples],
    }
    run.write(facts)
    started = time.perf_counter()
    observer.begin(len(train))
    history = fit(classifier, train, val, config, run, observer)
    unreadable = {**train.unreadable, **val.unreadable}
    result = Result(run, classifier, history, _warnings(unreadable))
    best = result.best
    facts["result"] = {
        "best_epoch": best.epoch,
        "val_accuracy": best.val_accuracy,
        "val_loss": best.val_loss,
        "seconds": time.perf_counter() - started,
        "unreadable": unreadable,
    }
    run.write(facts)
    save_curves(history, run.curves, title=run.name)
    return result


def _warnings(unreadable: dict[str, str]) -> list[str]:
    if not unreadable:
        return []
    name, reason = next(iter(unreadable.items()))
    return [f"{len(unreadable)} unreadable pictures were left out, such as {name}: {reason} (all in run.json)"]
