"""Journal: keeps run.json in step with the weights beside it, whatever ends the training.

run.json is written whenever the weights are. So a run that was killed outright still says what its
weights are, and a run that was interrupted keeps its best epoch; both can be exported.
"""

from __future__ import annotations

import dataclasses
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import asdict

from clsbench.errors import DataError, Terminated
from clsbench.run_record import RunRecord, RunResult
from clsbench.runs import Run
from clsbench.text import command, counted, some
from clsbench.training.divergence import Diverged
from clsbench.training.interrupts import Interrupts
from clsbench.training.loop import Trainer
from clsbench.training.observer import Observer
from clsbench.training.plan import describe_rates, plan_stages
from clsbench.training.plots import save_curves
from clsbench.training.setup import Setup


class Journal:
    """Writes the record of one run.

    Args:
        run: Its directory.
        record: As the run begins; written at once.
        setup: Network and images.
        observer: Hears how the run ended, if it did not end by itself.
        started: ``time.perf_counter()`` at the start of the run.
    """

    def __init__(self, run: Run, record: RunRecord, setup: Setup, observer: Observer, started: float) -> None:
        self.run, self.record = run, record
        #: What Ctrl-C and SIGTERM come to.
        self.interrupts = Interrupts()
        #: The one that trains, from when there is one.
        self.trainer: Trainer | None = None
        self._setup, self._observer, self._started = setup, observer, started
        self._write(record)

    def set_rate(self, lr: float) -> None:
        """Train at a learning rate that was just found."""
        config = self._setup.config = dataclasses.replace(self._setup.config, lr=lr)
        planned = plan_stages(self._setup.classifier, config)
        self._write(dataclasses.replace(self.record, training=asdict(config), stages=planned, lr_test="done"))
        self._observer.note(f"learning rate by range test: {lr:.2g}")
        for stage in planned:
            self._observer.note(f"  {stage.name}: {counted(stage.epochs, 'epoch')}, {describe_rates(stage.rates)}")

    def saved(self, trainer: Trainer) -> None:
        """The best weights so far have been written."""
        self._write(dataclasses.replace(self.record, result=self._result(trainer, trainer.stopped)))

    def finish(self, trainer: Trainer, test_accuracy: float | None) -> None:
        """The training has ended by itself."""
        result = self._result(trainer, trainer.stopped, test_accuracy)
        self._write(dataclasses.replace(self.record, status=trainer.status, result=result))
        self.run.state.unlink(missing_ok=True)

    @contextmanager
    def interruptions(self) -> Iterator[None]:
        """Within, whatever ends the training leaves a run that keeps its best epoch; SIGTERM is an exception."""
        with self.interrupts.listening():
            try:
                yield
            except BaseException as error:
                if self.record.status == "running" and self._setup.processes.is_main:
                    with self.interrupts.saving():
                        self._interrupted(error)
                raise
            finally:
                self.trainer = None  # each holds the other, and with it the network, until a garbage collector comes

    def _interrupted(self, error: BaseException) -> None:
        trainer, record = self.trainer, dataclasses.replace(self.record, status="interrupted")
        # A full disk is no reason to hide what happened.
        asked_for = isinstance(error, KeyboardInterrupt | Terminated)
        with suppress(DataError):
            if trainer:
                trainer.interrupt(resumable=asked_for)
            if trainer and trainer.best:
                record = dataclasses.replace(record, result=self._result(trainer, _reason(error)))
        with suppress(DataError):
            self._write(record)
        best = trainer.best if trainer else None
        if trainer and best:
            asked = counted(self.record.epochs_asked or 0, "epoch")
            text = f"the run ended after {len(trainer.history)} of {asked}; "
            if kept := self.record.result:
                found = f"epoch {kept.best_epoch} with {kept.val_accuracy:.2%} validation accuracy"
                text += f"{self.run.path} keeps its best so far, {found}"
            else:
                found = f"epoch {best.epoch} with {best.val_accuracy:.2%} validation accuracy"
                text += f"its best so far, {found}, could not be written to {self.run.path}"
        else:
            text = f"the run ended before its first epoch was done; {self.run.path} holds no weights to export"
        # A run that diverged does so again from the same state.
        if asked_for or (self.run.state.is_file() and not isinstance(error, Diverged)):
            text += f"\n  next: {command('train', '--resume', self.run.path)}"
        if self.record.result:
            text += f"\n  next: {command('export', self.run.path)}"
        if leftovers := self.run.leftovers():
            text += f"\n  unfinished files to delete: {some([str(file) for file in leftovers])}"
        self._observer.warn(text)
        if not isinstance(error, Exception):
            error.__notes__ = []  # they tell of writing that was cut off, and that has been done again by now
        if trainer and trainer.history and trainer.rates:
            with suppress(DataError):
                save_curves(trainer.history, trainer.rates, self.run.curves, title=self.run.name, config=trainer.config)

    def _result(self, trainer: Trainer, stopped: str | None, test_accuracy: float | None = None) -> RunResult | None:
        best = trainer.best
        if best is None:
            return None
        return RunResult(
            epochs=len(trainer.history),
            best_epoch=best.epoch,
            val_accuracy=best.val_accuracy,
            val_loss=best.val_loss,
            test_accuracy=test_accuracy,
            seconds=time.perf_counter() - self._started,
            stopped=stopped,
            head_loaded=self._setup.classifier.head_loaded,
            unreadable=self._setup.unreadable(),
            val_images=best.val_images,
        )

    def _write(self, record: RunRecord) -> None:
        if self._setup.processes.is_main:
            self.run.write_record(record)
        self.record = record


def _reason(error: BaseException) -> str:
    """Why a run was interrupted, in a few words."""
    if isinstance(error, KeyboardInterrupt):
        return "interrupted by Ctrl-C"
    if isinstance(error, Terminated):
        return "ended by SIGTERM"
    return f"an error: {str(error).partition(chr(10))[0] or type(error).__name__}"
