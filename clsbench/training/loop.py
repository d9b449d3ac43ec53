"""The training loop: stages of epochs, each validated, the best weights kept."""

from __future__ import annotations

import dataclasses
import time
from collections.abc import Callable, Mapping
from functools import partial
from typing import Literal

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from clsbench.errors import ModelError
from clsbench.models.classifier import Classifier
from clsbench.runs import Run
from clsbench.text import counted
from clsbench.training.augmentation import Mix
from clsbench.training.batches import Batches
from clsbench.training.checkpoints import Checkpoints
from clsbench.training.config import TrainConfig
from clsbench.training.divergence import HOPELESS, Diverged, check_epoch, finite_names
from clsbench.training.epochs import Epoch, write_log
from clsbench.training.hardware import fitting_threads, take_back
from clsbench.training.interrupts import Interrupts
from clsbench.training.missing import MissingImages, judged_again
from clsbench.training.observer import Observer
from clsbench.training.processes import Processes
from clsbench.training.progress import Progress
from clsbench.training.random_state import restore_random_state
from clsbench.training.recipes import Stage, stages
from clsbench.training.resumable import Resumable
from clsbench.training.run_state import Part, reading
from clsbench.training.steps import Steps
from clsbench.training.stopwatch import EVERY, pace
from clsbench.training.validation import validate


class Trainer(Resumable):
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
        interrupts: Is told when a step is under way.
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
        interrupts: Interrupts | None = None,
        processes: Processes | None = None,
    ) -> None:
        self.classifier, self.config, self.run, self.observer = classifier, config, run, observer
        self.history: list[Epoch] = []
        self.rates: list[tuple[float, float]] = []  # see Steps.rates
        self.stopped: str | None = None  # why the last stage ended before its last epoch, if it did
        self.diverged = False  # loss or weights became NaN or infinite, so that no further stage makes sense
        #: ``stopped`` where the time limit or a diverging loss ended the training.
        self.status: Literal["finished", "stopped"] = "finished"
        self._weights, self._mix = class_weights, mix
        self._started = time.perf_counter() if started is None else started
        self.interrupts = interrupts or Interrupts()
        self.stages_done = 0  # how many of them have ended
        self._steps: Steps | None = None
        self._progress: Progress | None = None
        self._epoch_began, self._since = 0.0, 0
        self._val_seconds: float | None = None
        self._paced, self._plan = 0.0, stages(classifier, config)
        self._alike_from = 1  # the first epoch whose validation can be compared with that of the last
        self._resumed: Mapping[str, Part] | None = None  # within a stage
        self.processes = processes or Processes()
        self._checkpoints, self._saved = Checkpoints(run, writes=self.processes.is_main), saved
        self._missing = MissingImages(observer)
        # What an epoch has to beat, and the validation images that it was reached on.
        self._bar: tuple[tuple[float, float], NDArray[np.int64]] | None = None

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
        resumed, self._resumed = self._resumed, None
        steps = Steps(
            self.classifier, stage, self.config, len(train),
            features=features, class_weights=self._weights, mix=self._mix,
            processes=self.processes, warn=self.observer.warn,
        )  # fmt: skip
        self._steps, self._progress = steps, Progress.begun(train.device)
        self._val_seconds, self._paced = None, time.perf_counter()
        self._epoch_began = time.perf_counter()
        if resumed:
            with reading(self.run.state):
                steps.restore(resumed)
                self._progress = Progress.restored(resumed["epoch"], train.device, len(train))
                self._epoch_began -= float(resumed["run"]["epoch_seconds"])  # type: ignore[arg-type]
        self.observer.stage(stage.name, stage.epochs * len(train))
        self.observer.advance(len(self._epochs_of(stage)) * len(train) + self._progress.batch)
        try:
            with fitting_threads(steps.network, steps.example(train.device), train.batch_size):
                if resumed:  # last: what was done to come here may have drawn some
                    with reading(self.run.state):
                        restore_random_state(resumed["random"], train.device, self.processes.rank)
                self.stopped = self._epochs(stage, steps, train, val)
        except Diverged as error:
            if self.best is None or self.best.val_loss > HOPELESS:
                raise
            self.diverged, self.status, self.stopped = True, "stopped", error.reason
            self.classifier.load_state_dict(self._checkpoints.best)  # what is written from now on is finite
        finally:
            self.rates += steps.rates
            steps.rates = []
        self.interrupts.hold()
        judged = self._checkpoints.best if self.diverged else steps.state()
        self.stages_done, self._steps, self._progress = self.stages_done + 1, None, None
        self._checkpoints.write(judged, self.parts())
        self._saved(self)
        self.interrupts.release()

    def interrupt(self, *, resumable: bool) -> None:
        """Write the best weights so far, and the state to go on from, after an exception has ended a stage.

        Args:
            resumable: Whether it is worth going on from here, rather than from the last state that was written.
        """
        # Between two stages the file has the state already; within a step there is none.
        if resumable and self._steps and not self.interrupts.held and not self.processes.several:
            self._checkpoints.write_state(self.parts())
        self._checkpoints.write_best()

    def finish(self) -> Epoch:
        """Leave the classifier on the CPU with its best weights; returns their epoch."""
        if self.best is None:
            raise ModelError("no epoch was completed")
        self._missing.summarise()
        take_back(self.classifier, self._checkpoints.best)
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

    def _epochs_of(self, stage: Stage) -> list[Epoch]:
        """Those that are done."""
        return [epoch for epoch in self.history if epoch.stage == stage.name]

    def _epochs(self, stage: Stage, steps: Steps, train: Batches, val: Batches) -> str | None:
        """All epochs of a stage that are still to be done, or the reason why it ended early."""
        finite = finite_names(steps.judged.state_dict())
        while len(done := self._epochs_of(stage)) < stage.epochs:
            if done and self.out_of_time():
                return self._time_is_up()
            patience, number = self.config.patience, len(self.history) + 1
            alike = [epoch for epoch in done if epoch.epoch >= self._alike_from]
            if alike and patience and number - 1 - max(alike, key=lambda e: e.quality).epoch >= patience:
                return f"no better validation in {counted(patience, 'epoch')} (--patience)"
            loss, accuracy = steps.train(
                train, number, partial(self._advance, stage, steps, len(train), len(val)), self.observer.loss,
                self.out_of_time, self.observer.batch,
                progress=self._progress, begun=self.interrupts.hold, done=self._step_done,
            )  # fmt: skip
            cut = self.out_of_time()
            self._missing.look(train, "training", number)
            began = time.perf_counter()
            val_loss, val_accuracy = validate(steps.judged, val)
            self._val_seconds = time.perf_counter() - began
            images = self._missing.look(val, "validation", number)
            check_epoch(steps.judged.state_dict(), finite, val_loss, number, self.config)
            now, rate = time.perf_counter(), float(steps.optimizer.param_groups[-1]["lr"])
            result = Epoch(
                number, stage.name, loss, accuracy, val_loss, val_accuracy, rate, now - self._epoch_began,
                now - self._started, val_images=len(images), images_per_second=steps.watch.images_per_second,
                waited=steps.watch.waited,
            )  # fmt: skip
            self._judge_best_again(steps, val, images)
            if self._bar is None or (result.quality > self._bar[0] and not self._missing.lost_classes(val)):
                result, self._bar = dataclasses.replace(result, best=True), (result.quality, images)
            self._end_epoch(result, steps.state(), train.device)
            if cut:
                return self._time_is_up()
        return None

    def _advance(self, stage: Stage, steps: Steps, total: int, val_batches: int, count: int) -> None:
        """Tell of a batch and, now and then, of the pace."""
        self.observer.advance(count)
        now = time.perf_counter()
        if now - self._paced >= EVERY and self._progress and steps.watch.batches:
            self._paced, left = now, stage.epochs - len(self._epochs_of(stage)) - 1
            val, more = (val_batches, self._val_seconds), len(self._plan) > self.stages_done + 1
            at = len(self.history) + 1, self._progress.batch, total
            self.observer.pace(pace(steps.watch, *at, val=val, epochs=left, more=more))

    def _judge_best_again(self, steps: Steps, val: Batches, images: NDArray[np.int64]) -> None:
        """Judge the best epoch on the validation images that are there now, if they are not those it was judged on."""
        if (best := self.best) and self._bar is None and best.val_images == len(images):
            self._bar = best.quality, images  # of a run that was resumed
        if best is None or (self._bar is not None and np.array_equal(self._bar[1], images)):
            return
        self._bar = judged_again(best, self._checkpoints.best, steps, val, self.observer)
        self._alike_from = len(self.history) + 1  # earlier ones cannot be compared any more: patience begins anew

    def _step_done(self) -> None:
        """Write the state now and then; a signal that came meanwhile is heard now."""
        self._since += self.config.accumulate
        every = self.config.checkpoint_every
        due = self._since >= every if every else self._checkpoints.state_due
        # Of several processes the others have random numbers and sums of their own.
        if due and not self.processes.several and self._progress and self._progress.sound:
            self._since = 0
            self._checkpoints.write_state(self.parts())
        self.interrupts.release()

    def _end_epoch(self, result: Epoch, state: dict[str, Tensor], device: torch.device) -> None:
        self.interrupts.hold()
        self.history.append(result)
        self._progress, self._epoch_began = Progress.begun(device), time.perf_counter()
        if result.best:
            self._checkpoints.keep(result, state)
        if self.processes.is_main:
            write_log(self.run.log, self.history[-1:])
        if self._checkpoints.due:
            self._checkpoints.write(state, self.parts())
            self._saved(self)
        self.interrupts.release()
        self.observer.epoch(result)
