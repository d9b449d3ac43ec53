"""One training run from a dataset to a run directory."""

from __future__ import annotations

import dataclasses
import time
from collections.abc import Callable
from contextlib import closing
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import torch

from clsbench import __version__
from clsbench.datasets.data_check import DataCheck
from clsbench.datasets.dataset import Dataset
from clsbench.datasets.recorded import record_splits
from clsbench.models.classifier import Classifier
from clsbench.runs import Run, check_name, create
from clsbench.training.allocator import keep_freed_memory
from clsbench.training.augmentation import mixing
from clsbench.training.batches import Batches
from clsbench.training.config import TrainConfig
from clsbench.training.drawing import save_pictures
from clsbench.training.loop import Epoch, Observer, Trainer
from clsbench.training.lr_finder import range_test
from clsbench.training.recipes import stages
from clsbench.training.setup import Setup, build_classifier, set_up
from clsbench.training.steps import evaluate
from clsbench.training.stored_images import Pictures
from clsbench.training.threads import fitting_threads


@dataclass(frozen=True)
class Result:
    """What a session made.

    Args:
        run: Its directory.
        classifier: With the best weights, on the CPU.
        history: One entry an epoch.
        best: The epoch whose weights were kept.
        test_accuracy: Of the best weights, as a fraction; None without a test split.
        check: What the data check found.
        stopped: Why training ended early, if it did.
        lr_suggestion: What the range test suggested, if it was made.
    """

    run: Run
    classifier: Classifier
    history: list[Epoch]
    best: Epoch
    test_accuracy: float | None
    check: DataCheck
    stopped: str | None
    lr_suggestion: float | None


def describe_run(config: TrainConfig, *, data: dict[str, Any], model: dict[str, Any]) -> dict[str, Any]:
    """The resolved configuration as run.json holds it: enough to repeat the run."""
    return {
        "schema": 2,
        "clsbench": __version__,
        "torch": torch.__version__,
        "data": data,
        "model": model,
        "training": asdict(config),
    }


def run_training(
    build_model: Callable[[], Classifier],
    dataset: Dataset,
    config: TrainConfig,
    facts: dict[str, Any],
    observer: Observer,
    *,
    run_name: str | None = None,
    auto_lr: bool = False,
    strict: bool = False,
) -> Result:
    """Train a model on a dataset and fill a run directory.

    Args:
        build_model: Called once, after seeding.
        dataset: With the splits ``train`` and ``val``, and perhaps ``test``.
        config: How to train.
        facts: From :func:`describe_run`; goes into run.json.
        observer: Hears how it goes.
        run_name: The directory's name, or None for a generated one.
        auto_lr: Replace the learning rate by what a range test suggests.
        strict: Whether anything the data check finds is an error.

    Raises:
        DataError: if a split is missing or none of its images can be read, or for the check.
        OptionError: if the run's name is taken, or options contradict the model.
        ModelError: if the model is none, or training diverges at once.
    """
    started = time.perf_counter()
    keep_freed_memory()
    dataset.samples("train"), dataset.samples("val")
    classifier = build_classifier(build_model, dataset, config)
    stages(classifier, config)  # refuses what the model does not have before anything is read
    check_name(run_name)
    setup, check = set_up(classifier, dataset, config, observer, Path(), strict=strict)
    run = create(run_name, default=f"{facts['data']['dataset']}-{facts['model']['name']}".replace("clsbench/", ""))
    facts = {
        **facts,
        "classes": list(dataset.classes),
        "transform": classifier.transform.to_json(),
        "counts": {split: len(samples) for split, samples in dataset.splits.items()},
        "splits": record_splits(dataset).to_json(),
        "check": check.to_json(),
    }
    run.write(facts)
    with closing(setup):
        if auto_lr:
            suggestion = range_test(setup)
            config = setup.config = dataclasses.replace(config, lr=suggestion.valley)
            facts["training"] = asdict(config)
            run.write(facts)
        trainer = _train(setup, run, observer, started)
        best = trainer.finish()
        test = _test_accuracy(setup, setup.test) if setup.test else None
        seconds = time.perf_counter() - started
        facts["result"] = {
            "epochs": len(trainer.history),
            "best_epoch": best.epoch,
            "val_accuracy": best.val_accuracy,
            "val_loss": best.val_loss,
            "test_accuracy": test,
            "seconds": seconds,
            "stopped": trainer.stopped,
            "head_loaded": classifier.head_loaded,
            "unreadable": setup.unreadable(),
        }
        run.write(facts)
        save_pictures(setup, trainer, dataset.classes)
    return Result(run, classifier, trainer.history, best, test, check, trainer.stopped, config.lr if auto_lr else None)


def _train(setup: Setup, run: Run, observer: Observer, started: float) -> Trainer:
    config = setup.config
    trainer = Trainer(
        setup.classifier,
        config,
        run,
        observer,
        class_weights=setup.class_weights(),
        mix=mixing(config.mixup, config.cutmix, setup.num_classes),
        started=started,
    )
    for stage in stages(setup.classifier, config):
        train, val, features = setup.batches(stage)
        trainer.run_stage(stage, train, val, features=features)
        if trainer.out_of_time() or trainer.diverged:
            break
    return trainer


def _test_accuracy(setup: Setup, pictures: Pictures) -> float:
    """Top-1 of the final weights on the test split, which training has not seen."""
    classifier = setup.classifier.to(setup.device)
    with fitting_threads(classifier, setup.example, setup.config.batch_size):
        _, accuracy = evaluate(classifier, Batches(pictures, setup.config.batch_size, setup.device))
    classifier.to("cpu")
    return accuracy
