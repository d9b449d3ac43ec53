"""The inference pipeline: samples in, predictions out, in order, with bounded memory.

    lister → workers: read, decode, resize into a slot of a batch → workers: backend → sink

One pool of threads does both kinds of work and always takes the one furthest down the
line: a worker runs a full batch if there is one and the backend has a stream free, else
it decodes the next pictures into a free batch, else it waits. So no core idles while
there is work for it, whichever stage is the slower, and decoding stops when all batches
wait for the sink. The calling thread is the sink: it takes batches in input order.

Batches are preallocated and used again. A picture that cannot be read keeps its slot,
so no neighbour can slip into its row.
"""

from __future__ import annotations

import threading
import time
from collections import deque
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from clsbench.datasets.dataset import Sample
from clsbench.errors import ClsbenchError
from clsbench.images.loader import ImageLoader
from clsbench.inference.backend import Backend
from clsbench.inference.machine import available_cores
from clsbench.inference.timing import StageClock, Timing
from clsbench.predictions import Predictions

#: Receives every batch of predictions, in input order.
Sink = Callable[[Predictions], None]


@dataclass
class _Batch:
    """A preallocated batch and where it stands."""

    images: NDArray[np.uint8]
    samples: Sequence[Sample] = ()
    errors: list[str | None] = field(default_factory=list)
    logits: NDArray[np.float32] | None = None
    number: int = 0
    claimed: int = 0
    decoded: int = 0


class Pipeline:
    """One inference job.

    Args:
        loader: Turns a sample's image into uint8 (h, w, 3).
        backend: uint8 (N, h, w, 3) -> logits (N, K).
        classes: K, the number of logits to expect.
        temperature: Of the card.
        batch_size: N; the backend's choice by default.
        decode_threads: Threads that decode; they run the model too where it shares the cores.
    """

    def __init__(
        self,
        loader: ImageLoader,
        backend: Backend,
        *,
        classes: int,
        decode_threads: int,
        temperature: float | None = None,
        batch_size: int | None = None,
    ) -> None:
        self._loader, self._backend, self._classes = loader, backend, classes
        self._temperature = temperature or 1.0
        self._batch_size = batch_size or backend.batch_size
        self._streams = backend.streams
        self._workers = decode_threads if backend.shares_cores else decode_threads + self._streams
        self._changed = threading.Condition()

    def run(self, samples: Sequence[Sample], sink: Sink) -> Timing:
        """Classify every sample and hand the predictions to ``sink`` in input order.

        Raises:
            Exception: whatever the backend or the sink raised; a picture's own failure is a
                row with a reason instead.
        """
        self._reset(samples)
        threads = [threading.Thread(target=self._work, name=f"clsbench-{i}", daemon=True) for i in range(self._workers)]
        started, started_busy = time.perf_counter(), time.process_time()
        clock, first = StageClock(), (0.0, 0)
        try:
            for thread in threads:
                thread.start()
            for number in range(self._total):
                batch = self._await(number)
                if number == 0:
                    first = (time.perf_counter() - started, len(batch.samples))
                mark = clock.mark()
                predictions = self._predictions(batch)
                predictions.probabilities  # noqa: B018  computed here, so that it is counted here
                mark = clock.lap("post", mark)
                sink(predictions)
                clock.lap("write", mark)
                self._release(batch)
        finally:
            with self._changed:
                self._stopped = True
                self._changed.notify_all()
            for thread in threads:
                thread.join()
        seconds = time.perf_counter() - started
        for other in self._clocks:
            clock.add(other)
        return Timing(
            seconds,
            len(samples),
            clock,
            *first,
            workers=self._workers,
            cores=available_cores(),
            shares_cores=self._backend.shares_cores,
            model_threads=self._backend.threads,
            device_seconds=self._device_seconds,
            process_seconds=time.process_time() - started_busy,
        )

    # -- state, all of it guarded by one condition --------------------------------

    def _reset(self, samples: Sequence[Sample]) -> None:
        size = min(self._batch_size, max(1, len(samples)))
        shape = (size, *self._loader.transform.size, 3)
        # Running, being filled by the workers, and waiting for the sink.
        count = self._streams + 2 + -(-self._workers // size)
        self._samples, self._size = samples, size
        self._total = -(-len(samples) // size)
        self._free = deque(_Batch(self._backend.allocate(shape)) for _ in range(count))
        self._filling: _Batch | None = None
        self._ready: deque[_Batch] = deque()
        self._finished: dict[int, _Batch] = {}
        self._opened = self._running = 0
        self._device_seconds = self._busy_since = 0.0
        self._failure: BaseException | None = None
        self._stopped = False
        self._clocks: list[StageClock] = []

    def _await(self, number: int) -> _Batch:
        with self._changed:
            while number not in self._finished and self._failure is None:
                self._changed.wait()
            if self._failure is not None:
                raise self._failure
            return self._finished.pop(number)

    def _release(self, batch: _Batch) -> None:
        with self._changed:
            batch.samples, batch.logits = (), None
            self._free.append(batch)
            self._changed.notify_all()

    def _work(self) -> None:
        clock = StageClock()
        self._clocks.append(clock)
        try:
            while (task := self._next_task(clock)) is not None:
                batch, rows = task
                if rows is None:
                    self._infer(batch, clock)
                else:
                    self._decode(batch, rows, clock)
        except BaseException as error:  # noqa: BLE001  re-raised by the calling thread
            with self._changed:
                self._failure = self._failure or error
                self._stopped = True
                self._changed.notify_all()

    def _next_task(self, clock: StageClock) -> tuple[_Batch, range | None] | None:
        """A batch to run (no rows), or rows to decode; None when there is nothing left."""
        with self._changed:
            while not self._stopped:
                if self._ready and self._running < self._streams:
                    self._begin_call()
                    return self._ready.popleft(), None
                if (rows := self._claim()) is not None:
                    return rows
                mark = clock.mark()
                self._changed.wait()
                clock.lap("wait", mark)
        return None

    def _claim(self) -> tuple[_Batch, range] | None:
        """The next rows to decode, or None if all are claimed or every batch is in use."""
        if self._filling is None:
            if self._opened == self._total or not self._free:
                return None
            batch = self._filling = self._free.popleft()
            start = self._opened * self._size
            batch.samples = self._samples[start : start + self._size]
            batch.errors = [None] * len(batch.samples)
            batch.number, batch.claimed, batch.decoded = self._opened, 0, 0
            self._opened += 1
        batch = self._filling
        length = len(batch.samples)
        rows = range(batch.claimed, min(length, batch.claimed + max(1, length // self._workers)))
        batch.claimed = rows.stop
        if batch.claimed == length:
            self._filling = None
        return batch, rows

    def _begin_call(self) -> None:
        if self._running == 0:
            self._busy_since = time.perf_counter()
        self._running += 1

    def _end_call(self) -> None:
        self._running -= 1
        if self._running == 0:
            self._device_seconds += time.perf_counter() - self._busy_since

    # -- work ----------------------------------------------------------------------

    def _decode(self, batch: _Batch, rows: range, clock: StageClock) -> None:
        for row in rows:
            try:
                self._load(batch.samples[row], batch.images[row], clock)
            except ClsbenchError as error:
                batch.errors[row] = error.one_line()
            except Exception as error:  # noqa: BLE001  one picture never ends the job
                batch.errors[row] = f"{type(error).__name__}: {error}"
            if self._stopped:
                return
        with self._changed:
            batch.decoded += len(rows)
            if batch.decoded == len(batch.samples):
                self._ready.append(batch)
                self._changed.notify_all()

    def _load(self, sample: Sample, slot: NDArray[np.uint8], clock: StageClock) -> None:
        source, mark = sample.image, clock.mark()
        if not isinstance(source, np.ndarray):
            data = self._loader.read(source)
            mark = clock.lap("read", mark)
            source = self._loader.decode(data, fleeting=True)
            mark = clock.lap("decode", mark)
        resized = self._loader.resize(source)
        mark = clock.lap("resize", mark)
        self._loader.place(resized, slot)
        clock.lap("copy", mark)

    def _infer(self, batch: _Batch, clock: StageClock) -> None:
        count = len(batch.samples)
        if any(error is None for error in batch.errors):
            mark = clock.mark()
            batch.logits = self._backend(batch.images[:count])
            clock.lap("inference", mark)
            if batch.logits.shape != (count, self._classes):
                raise RuntimeError(f"logits of shape {batch.logits.shape} instead of {(count, self._classes)}")
        else:
            batch.logits = np.full((count, self._classes), np.nan, np.float32)
        with self._changed:
            self._end_call()
            self._finished[batch.number] = batch
            self._changed.notify_all()

    def _predictions(self, batch: _Batch) -> Predictions:
        logits, errors = np.array(batch.logits, dtype=np.float32), list(batch.errors)
        finite = [bool(np.isfinite(row).all()) for row in logits]
        for row, error in enumerate(errors):
            if error is not None:
                logits[row] = np.nan
            elif not finite[row]:
                errors[row], logits[row] = "the model returned logits that are not finite", np.nan
        labels = [-1 if sample.label is None else sample.label for sample in batch.samples]
        names = [sample.name for sample in batch.samples]
        return Predictions(names, np.array(labels, np.int64), logits, errors, self._temperature)
