"""Pace: how far a stage of a task is, and how fast; and the bar that shows it."""

from __future__ import annotations

import time
from dataclasses import dataclass, field
from datetime import timedelta
from typing import TYPE_CHECKING

from clsbench.text import counted

if TYPE_CHECKING:
    from rich.console import Console
    from rich.progress import Progress

#: Seconds at least that a rate is taken over.
SHORTEST = 0.1


@dataclass
class Pace:
    """One stage.

    Args:
        name: What is counted.
        total: How many there are; 0 where that is not known.
        done, errors: So far.
        began: By the monotonic clock, seconds.
    """

    name: str
    total: int = 0
    done: int = 0
    errors: int = 0
    began: float = field(default_factory=time.monotonic)

    @property
    def rate(self) -> float:
        """How many a second."""
        return self.done / max(time.monotonic() - self.began, SHORTEST)

    def line(self) -> str:
        """All of it as text, for a log.

        >>> Pace("images", 200, 50, 1, began=time.monotonic() - 10).line()
        'images: 50 of 200 (25.0%), 5.0/s, 1 error, 0:00:30 left'
        """
        share = f" of {self.total:,} ({self.done / self.total:.1%})" if self.total else ""
        parts = [f"{self.name}: {self.done:,}{share}", f"{self.rate:,.1f}/s"]
        if self.errors:
            parts.append(counted(self.errors, "error"))
        if self.total and self.done:
            parts.append(f"{timedelta(seconds=round((self.total - self.done) / self.rate))} left")
        return ", ".join(parts)


def progress_bar(console: Console, *, drawn: bool) -> Progress:
    """A bar with counts, speed, loss, results and the remaining time."""
    from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

    texts = [TextColumn(f"{{task.fields[{name}]}}") for name in ("speed", "loss", "result")]
    return Progress(
        TextColumn("{task.description}"), BarColumn(bar_width=24), MofNCompleteColumn(), *texts,
        TimeRemainingColumn(compact=True, elapsed_when_finished=True), console=console, disable=not drawn,
    )  # fmt: skip
