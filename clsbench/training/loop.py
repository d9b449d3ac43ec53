"""The training loop: stages of epochs, each validated, the best weights kept."""

from __future__ import annotations

import csv
import dataclasses
import math
import time
from collections.abc import Callable
from dataclasses import asdict, dataclass, fields
from typing import Literal, Protocol

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from clsbench.datasets.data_check import DataCheck
from clsbench.errors import ModelError
from clsbench.models.classifier import Classifier
from clsbench.models.loading import LoadReport
from clsbench.runs import Run
from clsbench.text import counted
from clsbench.training.augmentation import Mix
from clsbench.training.batches import Batches
from clsbench.training.checkpoints import Checkpoints
from clsbench.training.config import TrainConfig
from clsbench.training.divergence import HOPELESS, Diverged, check_epoch, finite_names
from clsbench.training.hardware import fitting_threads
from clsbench.training.missing import MissingImages, failing_of, readable
from clsbench.training.plan import Plan
from clsbench.training.processes import Processes
from clsbench.training.recipes import Stage
from clsbench.training.steps import BatchLoss, Steps, validate


@dataclass(frozen=True)
class Epoch:
    """One line of the log: losses in nats, accuracies as fractions, times in seconds.

    ``train_*`` are of augmented images under changing weights; ``lr`` is the head's at the
    epoch's end; ``elapsed`` counts from the start of the run; ``best`` says whether its weights
    are the best so far; ``val_images`` were there to be judged on.
    """

    epoch: int
    stage: str
    train_loss: float
    train_accuracy: float
    val_loss: float
    val_accuracy: float
    lr: float
    seconds: float
    elapsed: float
    best: bool = False
    val_images: int = 0

    @property
    def quality(self) -> tuple[float, float]:
        """What makes an epoch the best: validation accuracy, ties broken by the loss."""
        return self.val_accuracy, -self.val_loss if math.isfinite(self.val_loss) else -math.inf


class Observer(Protocol):
    """Hears how training goes."""

    def note(self, text: str) -> None:
        """Something was assumed or found out."""

    def warn(self, text: str) -> None:
        """Something that must not be missed."""

    def planned(self, plan: Plan) -> None:
        """The network is built, and everything about the training is decided."""

    def loaded(self, report: LoadReport, recipe: str) -> None:
        """The network has weights from a file, and goes on by this recipe."""

    def checked(self, check: DataCheck) -> None:
        """The images have been read, and what is wrong with them is known."""

    def stage(self, name: str, total: int) -> None:
        """Something long begins: reading images, a stage; ``total`` images or batches."""

    def advance(self, count: int) -> None:
        """So many of them are done."""

    def loss(self, epoch: int, loss: float) -> None:
        """Now and then: the epoch from 1, the running mean loss."""

    def batch(self, result: BatchLoss) -> None:
        """Every ``log_every`` batches."""

    def epoch(self, result: Epoch) -> None:
        """After each epoch."""


class Trainer:
    """Runs stages on one classifier, and keeps log and checkpoints.

    Args:
        classifier: On the device of the batches.
        config: How to train.
        run: Gets log and checkpoints.
        observer: Hears how it goes.
        class_weights: float32 (K,) of the loss, or None.
        mix: Mixup or CutMix, or None.
        started: ``time.perf_counter()`` at the start of the run.
        saved: Called after the best weights so far were written.
        processes: That train together; this one alone if left out.
    """

    def __init__(
        self,
        classifier: Classifier,
        config: TrainConfig,
        run: Run,
        observer: Observer,
        *,
        class_weights: Tensor | None = None,
        mix: Mix | None = None,
        started: float | None = None,
        saved: Callable[[Trainer], None] = lambda trainer: None,
        processes: Processes | None = None,
    ) -> None:
        self.classifier, self.config, self.run, self.observer = classifier, config, run, observer
        self.history: list[Epoch] = []
        #: (epochs done, learning rate of the head) at each step of the optimizer.
        self.rates: list[tuple[float, float]] = []
        #: Why the last stage ended before its last epoch, if it did.
        self.stopped: str | None = None
        #: Whether loss or weights became NaN or infinite, so that no further stage makes sense.
        self.diverged = False
        #: ``stopped`` where the time limit or a diverging loss ended the training.
        self.status: Literal["finished", "stopped"] = "finished"
        self._weights, self._mix = class_weights, mix
        self._started = time.perf_counter() if started is None else started
        self._checkpoints, self._saved = Checkpoints(run), saved
        self._missing = MissingImages(observer)
        # What an epoch has to beat, and the validation images that it was reached on.
        self._bar: tuple[tuple[float, float], NDArray[np.int64]] | None = None
        self.processes = processes or Processes()

    @property
    def best(self) -> Epoch | None:
        """The epoch whose weights are the best so far."""
        return self._checkpoints.best_epoch

    def run_stage(self, stage: Stage, train: Batches, val: Batches, *, features: bool = False) -> None:
        """Train for the epochs of a stage.

        Args:
            stage: What learns, how fast and how long.
            train: Shuffled.
            val: In order.
            features: Whether the batches hold features, so that the head alone is run.

        Raises:
            Diverged: if loss or weights become NaN or infinite before there is an epoch worth keeping.
        """
        steps = Steps(
            self.classifier, stage, self.config, len(train),
            features=features, class_weights=self._weights, mix=self._mix,
            processes=self.processes,
        )  # fmt: skip
        self.observer.stage(stage.name, stage.epochs * len(train))
        try:
            with fitting_threads(steps.network, steps.example(train.device), train.batch_size):
                self.stopped = self._epochs(stage, steps, train, val)
        except Diverged as error:
            if self.best is None or self.best.val_loss > HOPELESS:
                raise
            self.diverged, self.status, self.stopped = True, "stopped", error.reason
        finally:
            self.rates += steps.rates
        self._checkpoints.write(self._checkpoints.best if self.diverged else steps.state())
        self._saved(self)

    def interrupt(self) -> None:
        """Write the best weights so far, after an exception has ended a stage."""
        self._checkpoints.write_best()

    def finish(self) -> Epoch:
        """Leave the classifier on the CPU with its best weights; returns their epoch."""
        if self.best is None:
            raise ModelError("no epoch was completed")
        self._missing.summarise()
        if any(parameter.is_cuda for parameter in self.classifier.parameters()):  # see put_on
            self.classifier.to(memory_format=torch.contiguous_format)
        self.classifier.to("cpu").load_state_dict(self._checkpoints.best)
        for parameter in self.classifier.parameters():
            parameter.requires_grad_(True)
        return self.best

    def out_of_time(self) -> bool:
        """Whether ``max_time`` is over."""
        if not self.config.max_time:
            return False
        return self.processes.from_main(self.config.max_time <= time.perf_counter() - self._started)

    def over(self) -> bool:
        """Whether no further stage makes sense: the loss diverged, or the time is over."""
        if not self.diverged and self.out_of_time():
            self.stopped = self._time_is_up()
        return self.status == "stopped"

    def _time_is_up(self) -> str:
        self.status = "stopped"
        return f"the time limit of {self.config.max_time:g} s was reached (--max-time)"

    def _epochs(self, stage: Stage, steps: Steps, train: Batches, val: Batches) -> str | None:
        """All epochs of a stage, or the reason why it ended early."""
        best: Epoch | None = None
        finite = finite_names(steps.judged.state_dict())
        for left in reversed(range(stage.epochs)):
            started = time.perf_counter()
            number = len(self.history) + 1
            loss, accuracy = steps.train(
                train, number, self.observer.advance, self.observer.loss, self.out_of_time, self.observer.batch
            )
            cut = self.out_of_time()
            self._missing.look(train, "training", number)
            val_loss, val_accuracy = validate(steps.judged, val)
            images = self._missing.look(val, "validation", number)
            check_epoch(steps.judged.state_dict(), finite, val_loss, number, self.config)
            now, rate = time.perf_counter(), float(steps.optimizer.param_groups[-1]["lr"])
            result = Epoch(
                number, stage.name, loss, accuracy, val_loss, val_accuracy, rate, now - started, now - self._started,
                val_images=len(images),
            )  # fmt: skip
            if self._judge_best_again(steps, val, images):
                best = None  # those of this stage cannot be compared any more: patience begins anew
            if self._bar is None or (result.quality > self._bar[0] and not self._missing.lost_classes(val)):
                result, self._bar = dataclasses.replace(result, best=True), (result.quality, images)
            self._end_epoch(result, steps.state())
            best = max(best or result, result, key=lambda e: e.quality)
            if cut or (left and self.out_of_time()):
                return self._time_is_up()
            if left and self.config.patience and number - best.epoch >= self.config.patience:
                return f"no better validation in {counted(self.config.patience, 'epoch')} (--patience)"
        return None

    def _judge_best_again(self, steps: Steps, val: Batches, images: NDArray[np.int64]) -> bool:
        """Judge the best epoch on the validation images that are there now, if they are not those it was judged on.

        Args:
            steps: Of the stage.
            val: In order.
            images: Those that could be read just now.
        """
        best = self.best
        if best is None or (self._bar is None and best.val_images == len(images)):
            self._bar = (best.quality, images) if best else None
            return False
        if self._bar is not None and np.array_equal(self._bar[1], images):
            return False
        loss, accuracy = steps.judge(self._checkpoints.best, val)
        images = readable(val.source, failing_of(val))
        self._bar = (accuracy, -loss), images
        self.observer.note(
            f"the best epoch so far, {best.epoch}, is judged again on the {counted(len(images), 'validation image')} "
            f"that can be read now: {accuracy:.2%} instead of {best.val_accuracy:.2%} of {best.val_images:,}"
        )
        return True

    def _end_epoch(self, result: Epoch, state: dict[str, Tensor]) -> None:
        self.history.append(result)
        if result.best:
            self._checkpoints.keep(result, state)
        with self.run.log.open("a", newline="", encoding="utf-8") as file:
            log = csv.DictWriter(file, [field.name for field in fields(Epoch)])
            if len(self.history) == 1:
                log.writeheader()
            log.writerow(asdict(result))
        if self._checkpoints.due:
            self._checkpoints.write(state)
            self._saved(self)
        self.observer.epoch(result)
