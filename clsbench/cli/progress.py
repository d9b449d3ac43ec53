"""The progress of a task on the terminal."""

from __future__ import annotations

import logging
import time
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from clsbench.api.observer import Observer
from clsbench.cli.logged_warnings import LoggedWarnings
from clsbench.cli.pace import Pace, progress_bar
from clsbench.text import counted

if TYPE_CHECKING:
    from rich.progress import TaskID

    from clsbench.adopting.decisions import Decision
    from clsbench.cli.terminal import Terminal
    from clsbench.training.epochs import Epoch
    from clsbench.training.plan import Plan
    from clsbench.training.progress import BatchLoss

#: Seconds between two updates of the bar, and between two lines where there is no bar.
INTERVAL, LINES = 0.1, 5.0


class TerminalObserver(Observer):
    """One bar at a time, with errors or loss and accuracy, and the remaining time; a context manager.

    Args:
        terminal: Where bar, notes and warnings go.
    """

    def __init__(self, terminal: Terminal) -> None:
        self._terminal = terminal
        self.outputs = terminal.outputs
        self._progress = progress_bar(terminal.err, drawn=terminal.draws_progress)
        self._task: TaskID | None = None
        self._pace, self._epochs = Pace(""), 0
        self._shown = self._told = 0.0
        self._heard = LoggedWarnings(terminal)

    def __enter__(self) -> TerminalObserver:
        logging.getLogger("clsbench").addHandler(self._heard)
        self._progress.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._update()
        self._progress.stop()
        logging.getLogger("clsbench").removeHandler(self._heard)

    def note(self, text: str) -> None:
        """Print it, unless quiet."""
        self._terminal.note(text)

    def warn(self, text: str) -> None:
        """Print it."""
        self._terminal.warn(text)

    def stage(self, name: str, total: int | None = None) -> None:
        """A new bar in place of the old one."""
        if self._task is not None:
            self._progress.remove_task(self._task)
        self._task = self._progress.add_task(name, total=total, loss="", result="", speed="")
        self._pace, self._told = Pace(name, total or 0), time.monotonic()

    def advance(self, count: int, errors: int = 0) -> None:
        """Count, and draw now and then."""
        self._pace.done += count
        self._pace.errors += errors
        now = time.monotonic()
        if now - self._shown > INTERVAL:
            self._update()
        if now - self._told > LINES and not self._terminal.draws_progress and not self._epochs:
            self._told = now
            self.note(self._pace.line())

    def recognised(self, file: Path, decisions: Sequence[Decision]) -> None:
        """Print what was asked for, found and guessed, apart."""
        from clsbench.cli.tables import decisions_table

        if not self._terminal.quiet:
            self._terminal.err.print(decisions_table(f"{file}: what it is", decisions))

    def planned(self, plan: Plan) -> None:
        """Print everything that was decided."""
        from clsbench.cli.tables import facts_table

        self._epochs = plan.epochs
        if not self._terminal.quiet:
            self._terminal.err.print(facts_table(plan.title, plan.facts))

    def batch(self, result: BatchLoss) -> None:
        """A line, above the bar."""
        number = f"{result.batch:>{len(str(result.total))}}/{result.total}"
        self.note(f"epoch {result.epoch}  batch {number}  loss {result.loss:z.4f}  lr {result.lr:.1e}")

    def loss(self, epoch: int, loss: float) -> None:
        """Show the running mean."""
        if self._task is not None:
            self._progress.update(self._task, loss=f"epoch {epoch} loss {loss:z.4f}")

    def epoch(self, result: Epoch) -> None:
        """A line, above the bar, which shows the validation accuracy."""
        from clsbench.cli.training_report import epoch_line

        self.note(epoch_line(result, self._epochs))
        if self._task is not None:
            self._progress.update(self._task, result=f"val {result.val_accuracy:.2%}")

    def _update(self) -> None:
        self._shown = time.monotonic()
        if self._task is not None:
            speed = f"{self._pace.rate:,.1f}/s" if self._pace.done and not self._epochs else ""
            self._progress.update(self._task, completed=self._pace.done, speed=speed)
            if self._pace.errors:
                self._progress.update(self._task, result=counted(self._pace.errors, "error"))
