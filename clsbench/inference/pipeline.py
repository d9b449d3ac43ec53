"""The inference pipeline: samples in, predictions out, in order, with bounded memory.

    lister → workers: read, decode, resize into a slot of a batch → workers: backend → sink

One pool of threads does both kinds of work and always takes the one furthest down the
line: a worker runs a full batch if there is one and the backend has a stream free, else
it decodes the next images into a free batch, else it waits. So no core idles while
there is work for it, whichever stage is the slower, and decoding stops when all batches
wait for the sink. The calling thread is the sink: it takes batches in input order.

Batches are preallocated and used again. An image that cannot be read keeps its slot,
so no neighbour can slip into its row.
"""

from __future__ import annotations

import threading
import time
from collections import deque
from collections.abc import Callable, Sequence

import numpy as np

from clsbench.datasets.dataset import Sample
from clsbench.errors import ClsbenchError, PluginError
from clsbench.images.loader import ImageLoader
from clsbench.inference.backend import Backend
from clsbench.inference.batch import Batch, predictions
from clsbench.inference.timing import StageClock, Timing
from clsbench.machine import available_cores
from clsbench.predictions.block import Predictions

#: Receives the predictions, some at a time, in input order.
Sink = Callable[[Predictions], None]

#: How many finished images the sink waits for, unless the workers wait for it.
DELIVERY = 16


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
        lock = threading.Lock()
        self._changed, self._deliver = threading.Condition(lock), threading.Condition(lock)

    def run(self, samples: Sequence[Sample], sink: Sink) -> Timing:
        """Classify every sample and hand the predictions to ``sink`` in input order.

        Raises:
            Exception: whatever the backend or the sink raised; an image's own failure is a
                row with a reason instead.
        """
        self._reset(samples)
        threads = [threading.Thread(target=self._work, name=f"clsbench-{i}", daemon=True) for i in range(self._workers)]
        self._started, started_busy = time.perf_counter(), time.process_time()
        clock = StageClock()
        try:
            for thread in threads:
                thread.start()
            while batches := self._await():
                mark = clock.mark()
                found = predictions(batches, self._temperature)
                found.probabilities  # noqa: B018  computed here, so that it is counted here
                mark = clock.lap("post", mark)
                sink(found)
                clock.lap("write", mark)
                self._release(batches)
        finally:
            with self._changed:
                self._stopped = True
                self._changed.notify_all()
            for thread in threads:
                thread.join()
        seconds = time.perf_counter() - self._started
        for other in self._clocks:
            clock.add(other)
        return Timing(
            seconds,
            len(samples),
            clock,
            *self._first,
            workers=self._workers,
            cores=available_cores(),
            shares_cores=self._backend.shares_cores,
            model_threads=self._backend.threads,
            device_seconds=self._device_seconds,
            process_seconds=time.process_time() - started_busy,
        )

    # -- state, all of it guarded by one lock: workers hear `_changed`, the sink `_deliver` --

    def _reset(self, samples: Sequence[Sample]) -> None:
        size = min(self._batch_size, max(1, len(samples)))
        shape = (size, *self._loader.transform.size, 3)
        self._group = -(-DELIVERY // size)
        # Running, being filled by the workers, and waiting for the sink.
        count = self._streams + 2 + -(-self._workers // size) + self._group
        self._samples, self._size = samples, size
        self._total = -(-len(samples) // size)
        self._free = deque(Batch(self._backend.allocate(shape)) for _ in range(count))
        self._filling: Batch | None = None
        self._ready: deque[Batch] = deque()
        self._finished: dict[int, Batch] = {}
        self._opened = self._running = self._delivered = 0
        self._first = (0.0, 0)
        self._device_seconds = self._busy_since = 0.0
        self._failure: BaseException | None = None
        self._stopped = False
        self._clocks: list[StageClock] = []

    def _await(self) -> list[Batch]:
        """The next finished batches in order, several at a time; none when all are delivered."""
        with self._changed:
            while not self._deliverable():
                self._deliver.wait()
            if self._failure is not None:
                raise self._failure
            batches = []
            while self._delivered in self._finished:
                batches.append(self._finished.pop(self._delivered))
                self._delivered += 1
            return batches

    def _deliverable(self) -> bool:
        """Whether waking the sink is worth it: each wake-up takes the interpreter from the workers."""
        ready = 0
        while self._delivered + ready in self._finished:
            ready += 1
        everything = self._delivered + ready == self._total
        return everything or self._failure is not None or (ready > 0 and (ready >= self._group or not self._free))

    def _release(self, batches: list[Batch]) -> None:
        with self._changed:
            for batch in batches:
                batch.fill((), 0)
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
                self._deliver.notify()

    def _next_task(self, clock: StageClock) -> tuple[Batch, range | None] | None:
        """A batch to run (no rows), or rows to decode; None when there is nothing left."""
        with self._changed:
            while not self._stopped:
                if self._ready and self._running < self._streams:
                    self._begin_call()
                    return self._ready.popleft(), None
                if (rows := self._claim()) is not None:
                    return rows
                if self._deliverable():
                    self._deliver.notify()
                mark = clock.mark()
                self._changed.wait()
                clock.lap("wait", mark)
        return None

    def _claim(self) -> tuple[Batch, range] | None:
        """The next rows to decode, or None if all are claimed or every batch is in use."""
        if self._filling is None:
            if self._opened == self._total or not self._free:
                return None
            batch = self._filling = self._free.popleft()
            start = self._opened * self._size
            batch.fill(self._samples[start : start + self._size], self._opened)
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

    def _decode(self, batch: Batch, rows: range, clock: StageClock) -> None:
        for row in rows:
            try:
                self._loader.load_into(batch.samples[row].image, batch.images[row], clock)
            except PluginError:
                raise
            except ClsbenchError as error:
                batch.errors[row] = error.one_line()
            except Exception as error:  # noqa: BLE001  one image never ends the job
                batch.errors[row] = f"{type(error).__name__}: {error}"
            if self._stopped:
                return
        with self._changed:
            batch.decoded += len(rows)
            if batch.decoded == len(batch.samples):
                self._ready.append(batch)
                self._changed.notify_all()

    def _infer(self, batch: Batch, clock: StageClock) -> None:
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
            if batch.number == 0:
                self._first = (time.perf_counter() - self._started, count)
            if self._deliverable():
                self._deliver.notify()
            if self._ready:  # a stream is free again
                self._changed.notify()
