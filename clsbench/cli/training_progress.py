"""What the terminal shows while a network is trained."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING

from clsbench.api.observer import Observer
from clsbench.cli.pace import LINES

if TYPE_CHECKING:
    from rich.progress import Progress, TaskID

    from clsbench.cli.terminal import Terminal
    from clsbench.training.epochs import Epoch
    from clsbench.training.plan import Plan
    from clsbench.training.progress import BatchLoss
    from clsbench.training.stopwatch import TrainingPace


class TrainingProgress(Observer):
    """Lines for batches and epochs; loss, accuracy, speed and time left in the bar."""

    _terminal: Terminal
    _progress: Progress
    _task: TaskID | None
    _told: float
    _epochs: int = 0
    _stages: frozenset[str] = frozenset()
    #: Whether the stage is one of training, of whose pace more is known.
    _training: bool = False

    def planned(self, plan: Plan) -> None:
        """Print everything that was decided."""
        from clsbench.cli.tables import facts_table

        self._epochs, self._stages = plan.epochs, frozenset(stage.name for stage in plan.stages)
        if not self._terminal.quiet:
            self._terminal.err.print(facts_table(plan.title, plan.facts))

    def batch(self, result: BatchLoss) -> None:
        """A line, above the bar."""
        number = f"{result.batch:>{len(str(result.total))}}/{result.total}"
        self.note(f"epoch {result.epoch}  batch {number}  loss {result.loss:z.4f}  lr {result.lr:.1e}")

    def loss(self, epoch: int, loss: float) -> None:
        """Show the running mean."""
        if self._task is not None:
            self._progress.update(self._task, loss=f"loss {loss:z.4f}")

    def pace(self, result: TrainingPace) -> None:
        """Show images/s, what limits them and the time left; without a bar as a line every few seconds."""
        from clsbench.cli.pace import training_line, training_texts

        now = time.monotonic()
        if self._task is not None and self._terminal.draws_progress:
            speed, left = training_texts(result)
            self._progress.update(self._task, speed=speed, left=left)
        elif now - self._told > LINES:
            self._told = now
            self.note(training_line(result))

    def epoch(self, result: Epoch) -> None:
        """A line, above the bar, which shows the validation accuracy."""
        from clsbench.cli.training_report import epoch_line

        self.note(epoch_line(result, self._epochs))
        if self._task is not None:
            self._progress.update(self._task, result=f"val {result.val_accuracy:.2%}")
