"""A clock that hears how long each stage of loading an image takes."""

from __future__ import annotations

from typing import Protocol

#: A moment as a clock tells it.
Mark = tuple[float, float]


class Clock(Protocol):
    """Counts the time of the stages ``read``, ``decode``, ``resize`` and ``copy``."""

    def mark(self) -> Mark:
        """Now."""

    def lap(self, stage: str, since: Mark) -> Mark:
        """Count the time since a mark; returns now."""


class _NoClock:
    def mark(self) -> Mark:
        return 0.0, 0.0

    def lap(self, stage: str, since: Mark) -> Mark:
        return since


#: Counts nothing.
NO_CLOCK = _NoClock()
