"""The progress of a task on the terminal."""

from __future__ import annotations

import logging
import time
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from clsbench.cli.logged_warnings import LoggedWarnings
from clsbench.cli.pace import LINES, Pace, progress_bar
from clsbench.cli.training_progress import TrainingProgress
from clsbench.text import counted

if TYPE_CHECKING:
    from rich.progress import TaskID

    from clsbench.adopting.decisions import Decision
    from clsbench.cli.terminal import Terminal

#: Seconds between two updates of the bar.
INTERVAL = 0.1


class TerminalObserver(TrainingProgress):
    """One bar at a time, with errors or loss and accuracy, and the remaining time; a context manager.

    Args:
        terminal: Where bar, notes and warnings go.
    """

    def __init__(self, terminal: Terminal) -> None:
        self._terminal = terminal
        self.outputs = terminal.outputs
        self._progress = progress_bar(terminal.err, drawn=terminal.draws_progress)
        self._task: TaskID | None = None
        self._pace = Pace("")
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
        self._task = self._progress.add_task(name, total=total, loss="", result="", speed="", left="")
        self._pace, self._told = Pace(name, total or 0), time.monotonic()
        self._training = name in self._stages

    def advance(self, count: int, errors: int = 0) -> None:
        """Count, and draw now and then."""
        self._pace.done += count
        self._pace.errors += errors
        now = time.monotonic()
        if now - self._shown > INTERVAL:
            self._update()
        if now - self._told > LINES and not self._terminal.draws_progress and not self._training:
            self._told = now
            self.note(self._pace.line())

    def recognised(self, file: Path, decisions: Sequence[Decision]) -> None:
        """Print what was asked for, found and guessed, apart."""
        from clsbench.cli.tables import decisions_table

        if not self._terminal.quiet:
            self._terminal.err.print(decisions_table(f"{file}: what it is", decisions))

    def _update(self) -> None:
        self._shown = time.monotonic()
        if self._task is not None:
            self._progress.update(self._task, completed=self._pace.done)
            if self._pace.done and not self._training:
                self._progress.update(self._task, speed=f"{self._pace.rate:,.1f}/s", left=self._pace.left)
            if self._pace.errors:
                self._progress.update(self._task, result=counted(self._pace.errors, "error"))
