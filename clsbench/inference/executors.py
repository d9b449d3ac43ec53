"""The built-in executors: ``threads`` and ``serial``."""

from __future__ import annotations

import time
from collections import deque
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import replace
from typing import get_args

from clsbench.images.entries import Entry
from clsbench.images.loader import ImageLoader
from clsbench.inference.backend import Backend, GraphLevel, Plan, allocate
from clsbench.inference.batch import Batch, predictions
from clsbench.inference.job import Execution, Executor, JobSpec, opened
from clsbench.inference.pipeline import Pipeline
from clsbench.inference.timing import StageClock, Timing
from clsbench.machine import available_cores
from clsbench.predictions.block import Predictions


class LocalJob:
    """A job whose model is open, for as many runs as there are parts of it: what a process of a cluster holds.

    Args:
        spec: The job.
        loader: Of it.
        backend: Of it; whoever opened it closes it.
    """

    def __init__(self, spec: JobSpec, loader: ImageLoader, backend: Backend) -> None:
        self._spec, self._loader, self._backend = spec, loader, backend
        size = spec.batch_size or backend.batch_size
        source = getattr(backend, "plan_source", "backend")
        plan = Plan(backend.streams, backend.threads, size, source, _graph_level(backend))
        #: On what it runs; with ``timing`` and ``decoded`` of the last run once that has ended.
        self.execution = self._begun = Execution(backend.device, plan)
        self._pipeline = Pipeline(
            loader,
            backend,
            classes=len(spec.card.classes),
            decode_threads=spec.decode_threads or available_cores(),
            temperature=spec.card.temperature,
            batch_size=size,
            feature_dim=spec.feature_dim,
        )

    def run(self, entries: Sequence[Entry]) -> Iterator[Predictions]:
        """Decode and classify, in threads, side by side: blocks in the order of the entries; one run at a time."""
        self.execution = self._begun
        yield from self._pipeline.run(entries)
        device, timing = self._backend.device, self._pipeline.timing
        if timing is not None:
            timing = replace(timing, device=device.device, precision=self._spec.card.precision)
        self.execution = replace(self._begun, device=device, timing=timing, decoded=self._loader.decoded)


@contextmanager
def open_job(spec: JobSpec) -> Iterator[LocalJob]:
    """A job with its model open; closed at the end, whatever happens.

    Raises:
        ClsbenchError: if it cannot be opened.
    """
    with opened(spec) as (loader, backend):
        yield LocalJob(spec, loader, backend)


class ThreadsExecutor(Executor):
    """Decoding and model side by side in one pool of threads; see :mod:`clsbench.inference.pipeline`."""

    def __init__(self) -> None:
        self.execution: Execution | None = None

    def run(self, spec: JobSpec, entries: Sequence[Entry]) -> Iterator[Predictions]:
        """Blocks in the order of the entries; see :class:`clsbench.inference.job.Executor`."""
        self.execution = None
        with open_job(spec) as job:
            self.execution = job.execution
            yield from job.run(entries)
            self.execution = job.execution


class SerialExecutor(Executor):
    """One image after another in the calling thread: to debug, and to compare other executors with."""

    def __init__(self) -> None:
        self.execution: Execution | None = None

    def run(self, spec: JobSpec, entries: Sequence[Entry]) -> Iterator[Predictions]:
        """Blocks of one image in the order of the entries; see :class:`clsbench.inference.job.Executor`."""
        self.execution = None
        with opened(spec) as (loader, backend):
            plan = Plan(1, backend.threads, 1, "serial", _graph_level(backend))
            begun = self.execution = Execution(backend.device, plan)
            clock, started, started_busy, first = StageClock(), time.perf_counter(), time.process_time(), 0.0
            first_call = 0.0
            batch = Batch(allocate(backend, (1, *spec.card.transform.size, 3), 1)[0])
            for number, entry in enumerate(entries):
                batch.fill((entry,), number)
                if loader.batches:
                    deque(batch.load_together(range(1), loader.batches, clock), 0)
                else:
                    batch.load(0, loader, clock)
                batch.run(backend, len(spec.card.classes), clock, spec.feature_dim)
                if not first:
                    first, first_call = time.perf_counter() - started, clock.wall["inference"]
                found = predictions((batch,), spec.card.temperature or 1.0, clock)
                mark = clock.mark()
                yield found
                clock.lap("write", mark)
            timing = Timing(
                time.perf_counter() - started, len(entries), clock, first, min(1, len(entries)),
                workers=1,
                cores=available_cores(),
                shares_cores=backend.shares_cores,
                model_threads=backend.threads,
                own_threads=getattr(backend, "own_threads", False),  # a plugin's may lack it
                device_seconds=clock.wall["inference"] - first_call,
                batch_size=1,
                device=backend.device.device,
                precision=spec.card.precision,
                process_seconds=time.process_time() - started_busy,
                decoded_apart=loader.batches is not None,
            )  # fmt: skip
            self.execution = replace(begun, timing=timing, decoded=loader.decoded)


def _graph_level(backend: Backend) -> GraphLevel | None:
    """How far ONNX Runtime rewrote the graph, of the backend that knows such levels."""
    level: GraphLevel | None = getattr(backend, "graph_level", None)
    return level if level in get_args(GraphLevel) else None
