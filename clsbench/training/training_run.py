"""One training run from a dataset to a run directory."""

from __future__ import annotations

import dataclasses
import time
from collections.abc import Callable, Collection, Mapping
from contextlib import closing, nullcontext
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any, cast

import numpy as np
import torch

from clsbench import __version__
from clsbench.datasets.data_check import DataCheck
from clsbench.datasets.dataset import Dataset
from clsbench.datasets.recorded import record_splits
from clsbench.environment import environment
from clsbench.json_fields import Scalar
from clsbench.machine import available_cores
from clsbench.models.classifier import Classifier
from clsbench.output_lock import exclusive
from clsbench.run_record import SCHEMA, RunData, RunModel, RunRecord
from clsbench.runs import Run, check_name, create
from clsbench.tabular import Tabular
from clsbench.training.augmentation import mixing
from clsbench.training.config import TrainConfig
from clsbench.training.determinism import deterministic
from clsbench.training.epochs import Epoch
from clsbench.training.hardware import gpu_names, keep_freed_memory
from clsbench.training.held_out import HeldOut, held_out, outcomes_of
from clsbench.training.journal import Journal
from clsbench.training.loop import Trainer
from clsbench.training.lr_finder import range_test
from clsbench.training.memory import fitting_batch_size, memory_explained
from clsbench.training.observer import Observer
from clsbench.training.plan import plan
from clsbench.training.plots import save_plots
from clsbench.training.precision import NAMES, settle
from clsbench.training.processes import Processes
from clsbench.training.recipes import stages
from clsbench.training.resume import Resumed, fingerprint_of
from clsbench.training.run_state import RunState, reading
from clsbench.training.setup import Setup, build_classifier, set_up
from clsbench.training.tracking import Tracking

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
        test_accuracy: Of the best weights, as a fraction; None without a test split, or where a logit is not finite.
        check: What the data check found.
        stopped: Why training ended early, if it did.
        lr_suggestion: What the range test suggested, if it was made.
        held_out: The scores of each class on the test split, or on the validation split without one; None where
            the logits are not finite.
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
    held_out: HeldOut | None
    classifier: Classifier = field(repr=False, compare=False)

    def to_json(self) -> dict[str, Any]:
        """Plain values, as ``train --json`` writes them: the record with the run's path and its history."""
        return {
            "schema": SCHEMA,
            "run": str(self.run.path),
            **self.record.to_json(),
            "history": [asdict(epoch) for epoch in self.history],
            "held_out": self.held_out.to_json() if self.held_out else None,
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
    auto_batch: bool = False,
    strict: bool = False,
    ignore: Collection[str] = (),
    processes: Processes | None = None,
    resumed: Resumed | None = None,
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
        auto_batch: Replace the batch size by what memory allows.
        strict: Whether anything the data check finds is an error.
        ignore: Kinds of finding that are neither told nor an error, but recorded.
        processes: That train together; this one alone if left out. The first writes the run, and is heard.
        resumed: A run to go on with; ``config`` and all else have to be what it began with.

    Raises:
        DataError: if a split is missing or none of its images can be read, or for the check; if the images are not
            those that a resumed run began with.
        OptionError: if the run's name is taken, or options contradict the model.
        ClsbenchError: if a tracker is not installed, or cannot record.
        ModelError: if the model does not keep its contract, or training diverges at once.
        LostProcess: if another process has ended.
        KeyboardInterrupt, SystemExit: after Ctrl-C or SIGTERM; the run keeps its best weights so far.
    """
    processes = processes or Processes(config.device)
    started = time.perf_counter()
    tracking = Tracking(config.track, observer)
    observer = cast(Observer, tracking)
    keep_freed_memory()
    dataset.samples("train"), dataset.samples("val")
    with processes.main_first():  # its weights may have to be downloaded
        classifier = build_classifier(build_model, dataset, config, observer, name=model.name)
    config = settle(config, classifier, processes, observer)
    planned = plan(
        classifier, config, model, data=data, split=split, auto_lr=auto_lr, auto_batch=auto_batch
    )  # refuses what the model does not have
    check_name(run_name)
    observer.planned(planned)
    setup, check = set_up(
        classifier, dataset, config, observer, Path(), strict=strict, ignore=ignore, processes=processes
    )
    if auto_batch:  # before there is a record: a run that is resumed has the same
        setup.config = config = dataclasses.replace(config, batch_size=fitting_batch_size(setup))
    record = RunRecord(
        clsbench=__version__,
        torch=str(torch.__version__),
        data=data,
        split=split or {},
        model=model,
        training=asdict(config),
        stages=planned.stages,
        precision=NAMES[config.precision],
        threads=available_cores(),
        classes=dataset.classes,
        transform=classifier.transform,
        counts={split: len(samples) for split, samples in dataset.splits.items()},
        splits=record_splits(dataset).to_json(),
        check=check.to_json(),
        weights=classifier.loaded.to_json() if classifier.loaded else {},
        environment=environment(gpu_names(), [name for name in (model.distribution, data.distribution) if name]),
        lr_test="due" if auto_lr else resumed.record.lr_test if resumed else "none",
        fingerprint=fingerprint_of(setup),
    )
    if resumed:
        run, record = resumed.run, resumed.go_on(record, observer)
    else:
        default = f"{_short(data.dataset)}-{_short(model.name)}"
        run = cast(Run, processes.from_main(create(run_name, default=default) if processes.is_main else None))
    # Of a resumed run the lock is held already; of several processes the first holds it.
    alone = nullcontext() if resumed or not processes.is_main else exclusive(run.state, "the state of the run")
    journal = Journal(run, record, setup, observer, started)
    same_bits = deterministic(config.deterministic, config.device)
    guarded, explained = journal.interruptions(), memory_explained(config)
    with alone, closing(setup), tracking.recorded(journal), guarded, same_bits, processes.telling(), explained:
        if auto_lr:
            journal.set_rate(range_test(setup).valley)
        if setup.processes.is_main:
            tracking.begin(run, journal.record)
        trainer = _train(setup, journal, started, resumed.state if resumed else None)
        best = trainer.finish()
        val, test = outcomes_of(setup, "val", dataset.classes), outcomes_of(setup, "test", dataset.classes)
        test_accuracy = float(np.mean(test.predicted == test.labels)) if test else None
        journal.finish(trainer, test_accuracy)
        if processes.is_main:
            save_plots(trainer, val)
    return TrainingResult(
        run=run,
        record=journal.record,
        history=tuple(trainer.history),
        best=best,
        test_accuracy=test_accuracy,
        check=check,
        stopped=trainer.stopped,
        lr_suggestion=setup.config.lr if journal.record.lr_test == "done" else None,
        held_out=held_out(val, test),
        classifier=classifier,
    )


def _short(qualified: str) -> str:
    """A component's name for the run's: without the plugin where that is built in or called the same.

    >>> _short("clsbench/digits"), _short("huggingface/huggingface"), _short("timm/resnet18")
    ('digits', 'huggingface', 'timm/resnet18')
    """
    plugin, _, name = qualified.partition("/")
    return name if plugin in ("clsbench", name) else qualified


def _train(setup: Setup, journal: Journal, started: float, state: RunState | None) -> Trainer:
    config = setup.config
    trainer = Trainer(
        setup.classifier,
        config,
        journal.run,
        setup.observer,
        class_weights=setup.class_weights(),
        mix=mixing(config.mixup, config.cutmix, setup.num_classes),
        started=started,
        saved=journal.saved,
        interrupts=journal.interrupts,
        processes=setup.processes,
    )
    journal.trainer = trainer
    if state:
        with reading(journal.run.state):
            trainer.restore(state.parts)
    for stage in stages(setup.classifier, config)[trainer.stages_done :]:
        if trainer.history and trainer.over():
            break
        train, val, features = setup.batches(stage)
        trainer.run_stage(stage, train, val, features=features)
    return trainer
