"""One training run from a dataset to a run directory."""

from __future__ import annotations

import dataclasses
import time
from collections.abc import Callable, Mapping
from contextlib import closing
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

import torch

from clsbench import __version__
from clsbench.datasets.data_check import DataCheck
from clsbench.datasets.dataset import Dataset
from clsbench.datasets.recorded import record_splits
from clsbench.json_fields import Scalar
from clsbench.models.classifier import Classifier
from clsbench.runs import SCHEMA, Run, RunData, RunModel, RunRecord, RunResult, check_name, create
from clsbench.tabular import Tabular
from clsbench.training.augmentation import mixing
from clsbench.training.batches import Batches
from clsbench.training.config import TrainConfig
from clsbench.training.hardware import fitting_threads, keep_freed_memory
from clsbench.training.loop import Epoch, Observer, Trainer
from clsbench.training.lr_finder import range_test
from clsbench.training.plots import save_plots
from clsbench.training.recipes import stages
from clsbench.training.setup import Setup, build_classifier, set_up
from clsbench.training.steps import validate
from clsbench.training.stored_images import StoredImages

if TYPE_CHECKING:
    import pyarrow


@dataclass(frozen=True)
class TrainingResult(Tabular):
    """What a training made.

    Args:
        run: Its directory.
        record: The content of its run.json.
        history: One entry an epoch.
        best: The epoch whose weights were kept.
        test_accuracy: Of the best weights, as a fraction; None without a test split.
        check: What the data check found.
        stopped: Why training ended early, if it did.
        lr_suggestion: What the range test suggested, if it was made.
        classifier: With the best weights, on the CPU.
    """

    run: Run
    record: RunRecord
    history: tuple[Epoch, ...]
    best: Epoch
    test_accuracy: float | None
    check: DataCheck
    stopped: str | None
    lr_suggestion: float | None
    classifier: Classifier = field(repr=False, compare=False)

    def to_json(self) -> dict[str, Any]:
        """Plain values, as ``train --json`` writes them: the record with the run's path and its history."""
        return {
            "schema": SCHEMA,
            "run": str(self.run.path),
            **self.record.to_json(),
            "history": [asdict(epoch) for epoch in self.history],
        }

    def to_arrow(self) -> pyarrow.Table:
        """The history as a table, one row an epoch."""
        import pyarrow

        return pyarrow.Table.from_pylist([asdict(epoch) for epoch in self.history])


def run_training(
    build_model: Callable[[], Classifier],
    dataset: Dataset,
    config: TrainConfig,
    observer: Observer,
    *,
    data: RunData,
    model: RunModel,
    split: Mapping[str, Scalar] | None = None,
    run_name: str | None = None,
    auto_lr: bool = False,
    strict: bool = False,
) -> TrainingResult:
    """Train a model on a dataset and fill a run directory.

    Args:
        build_model: Called once, after seeding.
        dataset: With the splits ``train`` and ``val``, and perhaps ``test``.
        config: How to train.
        observer: Hears how it goes.
        data: Where the dataset came from, for run.json.
        model: Where the network came from, for run.json and messages.
        split: How the dataset was asked to be split, for run.json.
        run_name: The directory's name, or None for a generated one.
        auto_lr: Replace the learning rate by what a range test suggests.
        strict: Whether anything the data check finds is an error.

    Raises:
        DataError: if a split is missing or none of its images can be read, or for the check.
        OptionError: if the run's name is taken, or options contradict the model.
        ModelError: if the model does not keep its contract, or training diverges at once.
    """
    started = time.perf_counter()
    keep_freed_memory()
    dataset.samples("train"), dataset.samples("val")
    classifier = build_classifier(build_model, dataset, config, observer, name=model.name)
    stages(classifier, config)  # refuses what the model does not have before anything is read
    check_name(run_name)
    setup, check = set_up(classifier, dataset, config, observer, Path(), strict=strict)
    run = create(run_name, default=f"{data.dataset}-{model.name}".replace("clsbench/", ""))
    record = RunRecord(
        clsbench=__version__,
        torch=str(torch.__version__),
        data=data,
        split=split or {},
        model=model,
        training=asdict(config),
        classes=dataset.classes,
        transform=classifier.transform,
        counts={split: len(samples) for split, samples in dataset.splits.items()},
        splits=record_splits(dataset).to_json(),
        check=check.to_json(),
        weights=classifier.loaded.to_json() if classifier.loaded else {},
    )
    run.write_record(record)
    with closing(setup):
        if auto_lr:
            config = setup.config = dataclasses.replace(config, lr=range_test(setup).valley)
            record = dataclasses.replace(record, training=asdict(config))
            run.write_record(record)
        trainer = _train(setup, run, observer, started)
        best = trainer.finish()
        test = _test_accuracy(setup, setup.test) if setup.test else None
        result = RunResult(
            epochs=len(trainer.history),
            best_epoch=best.epoch,
            val_accuracy=best.val_accuracy,
            val_loss=best.val_loss,
            test_accuracy=test,
            seconds=time.perf_counter() - started,
            stopped=trainer.stopped,
            head_loaded=classifier.head_loaded,
            unreadable=setup.unreadable(),
        )
        record = dataclasses.replace(record, result=result)
        run.write_record(record)
        save_plots(setup, trainer, dataset.classes)
    suggestion = config.lr if auto_lr else None
    history = tuple(trainer.history)
    return TrainingResult(run, record, history, best, test, check, trainer.stopped, suggestion, classifier)


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


def _test_accuracy(setup: Setup, images: StoredImages) -> float:
    """Top-1 of the final weights on the test split, which training has not seen."""
    classifier = setup.classifier.to(setup.device)
    with fitting_threads(classifier, setup.example, setup.config.batch_size):
        _, accuracy = validate(classifier, Batches(images, setup.config.batch_size, setup.device))
    classifier.to("cpu")
    return accuracy
