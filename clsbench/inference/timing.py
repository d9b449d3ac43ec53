"""Where the time of an inference run went."""

from __future__ import annotations

import time
from collections import defaultdict
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any

#: Stages in the order a picture passes them.
STAGES = ("read", "decode", "resize", "inference", "post", "write", "wait")


@dataclass
class StageClock:
    """Seconds by stage, of one thread; clocks of several threads are added up.

    ``busy`` is time on a core, ``wall`` the time that passed, which is longer where a
    thread waited for a core, the interpreter lock or a device.
    """

    busy: dict[str, float] = field(default_factory=lambda: defaultdict(float))
    wall: dict[str, float] = field(default_factory=lambda: defaultdict(float))

    @contextmanager
    def stage(self, name: str) -> Iterator[None]:
        """Count the body under ``name``."""
        wall, busy = time.perf_counter(), time.thread_time()
        try:
            yield
        finally:
            self.busy[name] += time.thread_time() - busy
            self.wall[name] += time.perf_counter() - wall

    def add(self, other: StageClock) -> None:
        """Take over another thread's seconds."""
        for mine, theirs in ((self.busy, other.busy), (self.wall, other.wall)):
            for name, seconds in theirs.items():
                mine[name] += seconds


@dataclass
class Timing:
    """The times of one run.

    Args:
        seconds: From the first picture's claim to the last row written.
        images: How many pictures.
        clock: Seconds by stage, all threads together.
        first_batch: When the first batch was done, seconds after the start.
        first_batch_images: How many pictures were in it.
        workers: Threads that decoded and ran the model.
    """

    seconds: float
    images: int
    clock: StageClock
    first_batch: float
    first_batch_images: int
    workers: int

    @property
    def images_per_second(self) -> float:
        """Overall."""
        return self.images / self.seconds if self.seconds else 0.0

    def to_json(self) -> dict[str, Any]:
        """The facts of the throughput table."""
        per_image = {f"{stage}_ms_per_image": 1000 * self.clock.wall[stage] / max(self.images, 1) for stage in STAGES}
        return {
            "images_per_second": self.images_per_second,
            "seconds": self.seconds,
            "first_batch_seconds": self.first_batch,
            "workers": self.workers,
            **per_image,
        }
