"""The progress of a task on the terminal."""

from __future__ import annotations

import logging
import time
from typing import TYPE_CHECKING

from clsbench.api.observer import Observer
from clsbench.text import counted, formatted

if TYPE_CHECKING:
    from rich.progress import TaskID

    from clsbench.cli.terminal import Terminal
    from clsbench.training.loop import Epoch

#: Seconds between two updates of the bar.
INTERVAL = 0.1


class _Heard(logging.Handler):
    """Warnings of the logger ``clsbench``, from code that has no observer, as warnings on the terminal."""

    def __init__(self, terminal: Terminal) -> None:
        super().__init__(logging.WARNING)
        self._terminal = terminal

    def emit(self, record: logging.LogRecord) -> None:
        self._terminal.warn(record.getMessage())


class TerminalObserver(Observer):
    """One bar at a time, with errors or loss and accuracy, and the remaining time; a context manager.

    Args:
        terminal: Where bar, notes and warnings go.
    """

    def __init__(self, terminal: Terminal) -> None:
        from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

        self._terminal = terminal
        self._progress = Progress(
            TextColumn("{task.description}"),
            BarColumn(bar_width=24),
            MofNCompleteColumn(),
            TextColumn("{task.fields[loss]}"),
            TextColumn("{task.fields[result]}"),
            TimeRemainingColumn(compact=True, elapsed_when_finished=True),
            console=terminal.err,
            disable=terminal.quiet or not terminal.err.is_terminal,
        )
        self._task: TaskID | None = None
        self._done = self._errors = 0
        self._shown = 0.0
        self._heard = _Heard(terminal)

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
        self._task = self._progress.add_task(name, total=total, loss="", result="")
        self._done = self._errors = 0

    def advance(self, count: int, errors: int = 0) -> None:
        """Count, and draw now and then."""
        self._done += count
        self._errors += errors
        if time.monotonic() - self._shown > INTERVAL:
            self._update()

    def loss(self, epoch: int, loss: float) -> None:
        """Show the running mean."""
        if self._task is not None:
            self._progress.update(self._task, loss=f"epoch {epoch} loss {formatted(loss, '.4f')}")

    def epoch(self, result: Epoch) -> None:
        """Show the validation accuracy."""
        if self._task is not None:
            self._progress.update(self._task, result=f"val {result.val_accuracy:.2%}")

    def _update(self) -> None:
        self._shown = time.monotonic()
        if self._task is not None:
            self._progress.update(self._task, completed=self._done)
            if self._errors:
                self._progress.update(self._task, result=counted(self._errors, "error"))
