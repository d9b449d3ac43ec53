"""The times of a job's chunks, added up to those of the job."""

from __future__ import annotations

import time
from dataclasses import replace
from typing import Any

from clsbench import Execution
from clsbench_ray.layout import Layout
from clsbench_ray.worker import Answer


class Times:
    """Adds up what the workers measured.

    Args:
        layout: Of the workers.
    """

    def __init__(self, layout: Layout) -> None:
        self._layout = layout
        self._started = time.perf_counter()
        self._total: Any = None  # a Timing of clsbench
        self._first = (0.0, 0)
        self._last: Execution | None = None
        self._mark = (0.0, 0.0)

    def begin(self) -> None:
        """A chunk has come; what it takes the driver from now on is the stage ``write``."""
        self._mark = time.perf_counter(), time.thread_time()

    def take(self, answer: Answer) -> None:
        """What it says."""
        execution = answer.execution
        if execution is None or execution.timing is None:
            return
        if self._total is None:
            self._first = (time.perf_counter() - self._started, execution.timing.images)
            self._total = execution.timing
        else:
            self._total = self._total.joined(execution.timing)
        self._last = execution

    def written(self) -> None:
        """The caller has dealt with it."""
        if self._total is not None:
            self._total.clock.lap("write", self._mark)

    def execution(self, begun: Execution) -> Execution:
        """Of the job, at its end."""
        if self._last is None:
            return begun
        workers, first = self._layout.workers, self._total
        timing = replace(
            first,
            seconds=time.perf_counter() - self._started,
            first_batch=self._first[0],
            first_batch_images=self._first[1],
            workers=first.workers * workers,
            cores=self._layout.cores * workers,
            device_seconds=first.device_seconds / workers,
            warm_up=first.warm_up / workers,
            batch_size=begun.plan.batch_size,
        )
        return replace(begun, device=self._last.device, timing=timing)
