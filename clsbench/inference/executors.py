"""The built-in executors: ``threads`` and ``serial``."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import replace

from clsbench.images.entries import Entry
from clsbench.inference.backend import Plan
from clsbench.inference.job import Execution, Executor, JobSpec, opened
from clsbench.inference.pipeline import Pipeline
from clsbench.inference.serial import Serial
from clsbench.machine import available_cores
from clsbench.predictions.block import Predictions


class ThreadsExecutor(Executor):
    """Decoding and model side by side in one pool of threads; see :mod:`clsbench.inference.pipeline`."""

    def __init__(self) -> None:
        self.execution: Execution | None = None

    def run(self, spec: JobSpec, entries: Sequence[Entry]) -> Iterator[Predictions]:
        """Blocks in the order of the entries; see :class:`clsbench.inference.job.Executor`."""
        self.execution = None
        with opened(spec) as (loader, backend):
            size = spec.batch_size or backend.batch_size
            source = getattr(backend, "plan_source", "backend")
            begun = self.execution = Execution(backend.device, Plan(backend.streams, backend.threads, size, source))
            pipeline = Pipeline(
                loader,
                backend,
                classes=len(spec.card.classes),
                decode_threads=spec.decode_threads or available_cores(),
                temperature=spec.card.temperature,
                batch_size=size,
            )
            yield from pipeline.run(entries)
            self.execution = replace(begun, timing=pipeline.timing)


class SerialExecutor(Executor):
    """One image after another in the calling thread: to debug, and to compare other executors with."""

    def __init__(self) -> None:
        self.execution: Execution | None = None

    def run(self, spec: JobSpec, entries: Sequence[Entry]) -> Iterator[Predictions]:
        """Blocks of one image in the order of the entries; see :class:`clsbench.inference.job.Executor`."""
        self.execution = None
        with opened(spec) as (loader, backend):
            begun = self.execution = Execution(backend.device, Plan(1, backend.threads, 1, "serial"))
            serial = Serial(loader, backend, classes=len(spec.card.classes), temperature=spec.card.temperature)
            yield from serial.run(entries)
            self.execution = replace(begun, timing=serial.timing)
