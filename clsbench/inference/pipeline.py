"""The inference pipeline: entries in, predictions out, in order, with bounded memory.

    entries → workers: read, decode, resize into a slot of a batch → workers: backend → caller

One pool of threads does both kinds of work and always takes the one furthest down the
line: a worker runs a full batch if there is one and the backend has a stream free, else
it decodes the next images into a free batch, else it waits. So no core idles while
there is work for it, whichever stage is the slower, and decoding stops when all batches
wait for the caller, who takes them in input order.

Batches are preallocated and used again. An image that cannot be read keeps its slot,
so no neighbour can slip into its row.
"""

from __future__ import annotations

import math
import threading
import time
from collections import deque
from collections.abc import Iterator, Sequence
from contextlib import suppress

from clsbench.images.entries import Entry
from clsbench.images.loader import ImageLoader
from clsbench.inference.backend import Backend, allocate
from clsbench.inference.batch import Batch, predictions
from clsbench.inference.timing import CallMeter, StageClock, Timing
from clsbench.machine import available_cores
from clsbench.predictions.block import Predictions

#: Bytes and images that the caller waits for, whatever is less, and the seconds after which it takes fewer.
DELIVERY, MOST_DELIVERED, DELAY = 16 * 224 * 224 * 3, 64, 0.1

#: Seconds that reading and decoding an image holds the interpreter lock, about. Of small images one or two workers
#: keep it busy, and more would only take it from one another.
LOCKED = 3e-5

#: Of images that take a worker less time than this, seconds, one in so many is timed by stage: clocks take time.
SMALL, TIMED = 5e-4, 8

#: Seconds that a worker has to end by itself, before its call of the model is interrupted.
PATIENCE = 0.1

#: Images looked at after a decode-bound run, to see whether ``fast_decode`` would help.
SAMPLED = 8


class Pipeline:
    """Runs a model over images; may be used again, but for one run at a time.

    Args:
        loader: Turns an entry into uint8 (h, w, 3).
        backend: uint8 (N, h, w, 3) -> logits (N, K); stays open.
        classes: K, the number of logits to expect.
        decode_threads: Threads that decode; they run the model too where it shares the cores.
        temperature: Of the card.
        batch_size: N; the backend's choice by default.
        feature_dim: D of the features that the predictions are to have; None for none.
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
        feature_dim: int | None = None,
    ) -> None:
        self._loader, self._backend, self._classes, self._feature_dim = loader, backend, classes, feature_dim
        self._temperature = temperature or 1.0
        self._batch_size = batch_size or backend.batch_size
        self._streams = backend.streams
        self._workers = decode_threads if backend.shares_cores else decode_threads + self._streams
        lock = threading.Lock()
        self._changed, self._deliver = threading.Condition(lock), threading.Condition(lock)
        #: Where the time of the last run went; None until it has ended.
        self.timing: Timing | None = None

    def run(self, entries: Sequence[Entry]) -> Iterator[Predictions]:
        """Classify every entry; blocks of predictions in input order.

        The threads end when the last block has been taken, or when the iterator is closed.

        Raises:
            Exception: whatever the backend raised; an image's own failure is a row with a
                reason instead.
        """
        self._reset(entries)
        warm_up = self._warm_up()
        threads = [threading.Thread(target=self._work, name=f"clsbench-{i}", daemon=True) for i in range(self._workers)]
        self._started, started_busy = time.perf_counter(), time.process_time()
        clock = StageClock()
        try:
            for thread in threads:
                thread.start()
            while batches := self._await():
                found = predictions(batches, self._temperature, clock)
                mark = clock.mark()
                yield found
                clock.lap("write", mark)
                self._release(batches)
        finally:
            with self._changed:
                self._stopped = True
                self._changed.notify_all()
            self._join(threads)
        seconds = time.perf_counter() - self._started
        for other in self._clocks:
            clock.add(other)
        self.timing = Timing(
            seconds, len(entries), clock, first_batch=self._first[0], first_batch_images=self._first[1],
            workers=self._workers, cores=available_cores(), shares_cores=self._backend.shares_cores,
            model_threads=self._backend.threads, own_threads=getattr(self._backend, "own_threads", False),
            device_seconds=(self._calls.seconds - self._first_calls) / self._streams, warm_up=warm_up,
            batch_size=self._size, process_seconds=time.process_time() - started_busy,
            decoded_apart=bool(self._loader.batches),
        )  # fmt: skip
        if not self.timing.short and self.timing.limit().bound == "decode":
            self.timing.large_jpegs = self._loader.would_shrink(entries[:: max(1, len(entries) // SAMPLED)][:SAMPLED])

    # All state below is guarded by one lock: workers hear `_changed`, the caller `_deliver`.

    def _reset(self, entries: Sequence[Entry]) -> None:
        self.timing = None
        if self._loader.batches:
            self._loader.batches.restart()
        size = min(self._batch_size, max(1, len(entries)))
        shape = (size, *self._loader.transform.size, 3)
        self._group = -(-min(MOST_DELIVERED, -(-DELIVERY // math.prod(shape[1:]))) // size)
        self._entries, self._size, self._total = entries, size, -(-len(entries) // size)
        # Running, being filled by the workers (a whole batch by each where a decoder takes several images at once),
        # and waiting for the caller.
        filling = self._workers if self._loader.batches else -(-self._workers // size)
        count = min(self._total, self._streams + 2 + filling + self._group)
        self._free = deque(Batch(memory) for memory in allocate(self._backend, shape, count))
        self._filling: Batch | None = None
        self._ready: deque[Batch] = deque()
        self._finished: dict[int, Batch] = {}
        self._opened = self._decoding = self._delivered = 0
        self._taken = time.perf_counter()
        self._pace = math.inf  # seconds to read and decode an image, lately
        self._first, self._calls, self._first_calls = (0.0, 0), CallMeter(), 0.0
        self._failure: BaseException | None = None
        self._stopped = False
        self._clocks: list[StageClock] = []

    def _warm_up(self) -> float:
        """Call a device on each of its streams, so that what the first calls set up is done; seconds that it took.

        A job of few batches goes without: it would take longer, and its times say nothing anyway.
        """
        if self._backend.shares_cores or self._total <= self._streams:
            return 0.0
        started, batches = time.perf_counter(), list(self._free)[: self._streams]
        threads = [threading.Thread(target=self._call_once, args=(batch,), daemon=True) for batch in batches]
        try:
            for thread in threads:
                thread.start()
            for thread in threads:
                thread.join()
        except BaseException:
            self._join(threads)
            raise
        if self._failure is not None:
            raise self._failure
        return time.perf_counter() - started

    def _call_once(self, batch: Batch) -> None:
        try:
            batch.warm_up(self._backend, self._classes, self._feature_dim)
        except BaseException as error:  # noqa: BLE001  re-raised by the calling thread
            self._failure = self._failure or error

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
            self._taken = time.perf_counter()
            return batches

    def _deliverable(self) -> bool:
        """Whether waking the caller is worth it: each wake-up takes the interpreter from the workers."""
        ready = 0
        while self._delivered + ready in self._finished:
            ready += 1
        enough = ready >= self._group or not self._free or time.perf_counter() - self._taken > DELAY
        return self._failure is not None or self._delivered + ready == self._total or (ready > 0 and enough)

    def _join(self, threads: Sequence[threading.Thread]) -> None:
        """Wait for the workers; calls that are still under way are those that nobody waits for any more."""
        interrupt = getattr(self._backend, "interrupt", None)  # a plugin's may lack it
        for thread in threads:
            while thread.is_alive():
                thread.join(PATIENCE)
                if interrupt is not None and thread.is_alive():
                    with suppress(Exception):  # what ends the job says more
                        interrupt()

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
                if self._ready and self._calls.running < self._streams:
                    self._calls.change(1)
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
        crowded = self._pace < LOCKED * self._workers and not self._loader.batches
        if crowded and self._decoding >= max(1, int(self._pace / LOCKED)):
            return None
        if self._filling is None:
            if self._opened == self._total or not self._free:
                return None
            batch = self._filling = self._free.popleft()
            start = self._opened * self._size
            batch.fill(self._entries[start : start + self._size], self._opened)
            self._opened += 1
        batch, length = self._filling, len(self._filling.entries)
        share = length if crowded or self._loader.batches else max(1, length // self._workers)
        rows = range(batch.claimed, min(length, batch.claimed + share))
        batch.claimed = rows.stop
        self._decoding += 1
        if batch.claimed == length:
            self._filling = None
        return batch, rows

    def _decode(self, batch: Batch, rows: range, clock: StageClock) -> None:
        timed, mark = StageClock(), clock.mark()
        if self._loader.batches:
            loading = batch.load_together(rows, self._loader.batches, timed)
        else:
            loading = batch.load_each(rows, self._loader, timed, every=TIMED if self._pace < SMALL else 1)
        for _ in loading:
            if self._stopped:
                return
        seconds = clock.share(mark, timed)
        with self._changed:
            self._pace = seconds / len(rows)
            self._decoding -= 1
            batch.decoded += len(rows)
            if batch.decoded == len(batch.entries):
                self._ready.append(batch)
                self._changed.notify_all()

    def _infer(self, batch: Batch, clock: StageClock) -> None:
        batch.run(self._backend, self._classes, clock, self._feature_dim)
        with self._changed:
            self._calls.change(-1)
            self._finished[batch.number] = batch
            if batch.number == 0:
                self._first = (time.perf_counter() - self._started, len(batch.entries))
                self._first_calls = self._calls.seconds
            if self._deliverable():
                self._deliver.notify()
            if self._ready:  # a stream is free again
                self._changed.notify()
