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

    from clsbench.training.stopwatch import TrainingPace

#: Seconds between two lines where there is no bar.
LINES = 5.0

#: Shares of the time that steps wait for their images: worth a word in a bar; the most of it.
WORTH_SAYING, HALF = 0.1, 0.5

#: Columns that a terminal must have for a long bar.
WIDE = 100

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

    @property
    def left(self) -> str:
        """The time that it still takes; empty where that is not known."""
        return _duration((self.total - self.done) / self.rate) if self.total and self.done else ""

    def line(self) -> str:
        """All of it as text, for a log.

        >>> Pace("images", 200, 50, 1, began=time.monotonic() - 10).line()
        'images: 50 of 200 (25.0%), 5.0/s, 1 error, 0:00:30 left'
        """
        share = f" of {self.total:,} ({self.done / self.total:.1%})" if self.total else ""
        parts = [f"{self.name}: {self.done:,}{share}", f"{self.rate:,.1f}/s"]
        if self.errors:
            parts.append(counted(self.errors, "error"))
        if self.left:
            parts.append(f"{self.left} left")
        return ", ".join(parts)


def training_texts(pace: TrainingPace) -> tuple[str, str]:
    """What a bar says of a training: speed and limit; time left of the epoch and of the run.

    >>> from clsbench.training.stopwatch import TrainingPace
    >>> training_texts(TrainingPace(3, 12, 40, 1234.5, 0.625, 5.2, 130.0, more=True))
    ('1,234/s, data 62%', '00:05 of >02:10')
    """
    limit = f", data {pace.waited:.0%}" if pace.waited >= WORTH_SAYING else ""
    run = f"{'>' * pace.more}{_duration(pace.run_left).removeprefix('0:')}"
    return f"{pace.images_per_second:,.0f}/s{limit}", f"{_duration(pace.epoch_left).removeprefix('0:')} of {run}"


def training_line(pace: TrainingPace) -> str:
    """The same as a line of a log.

    >>> from clsbench.training.stopwatch import TrainingPace
    >>> training_line(TrainingPace(3, 12, 40, 1234.5, 0.625, 5.2, 130.0))
    'epoch 3  batch 12/40  1,234 images/s, limited by data (62% waiting)  0:00:05 left, run 0:02:10'
    """
    limit = "data" if pace.waited >= HALF else "compute"
    at_least = "at least " * pace.more
    return (
        f"epoch {pace.epoch}  batch {pace.batch:>{len(str(pace.total))}}/{pace.total}  "
        f"{pace.images_per_second:,.0f} images/s, limited by {limit} ({pace.waited:.0%} waiting)  "
        f"{_duration(pace.epoch_left)} left, run {at_least}{_duration(pace.run_left)}"
    )


def _duration(seconds: float) -> str:
    return str(timedelta(seconds=round(seconds)))


def progress_bar(console: Console, *, drawn: bool) -> Progress:
    """A bar with counts, speed, loss, results and the remaining time."""
    from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn

    texts = [TextColumn(f"{{task.fields[{name}]}}") for name in ("speed", "loss", "result", "left")]
    return Progress(
        TextColumn("{task.description}"), BarColumn(bar_width=24 if console.width > WIDE else 6), MofNCompleteColumn(),
        *texts, console=console, disable=not drawn,
    )  # fmt: skip
