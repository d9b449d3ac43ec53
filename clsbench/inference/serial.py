"""One image after another in the calling thread: for single images, to debug, and to compare with."""

from __future__ import annotations

import time
from collections.abc import Iterator, Sequence

from clsbench.images.entries import Entry
from clsbench.images.loader import ImageLoader
from clsbench.inference.backend import Backend, allocate
from clsbench.inference.batch import Batch, predictions
from clsbench.inference.timing import StageClock, Timing
from clsbench.machine import available_cores
from clsbench.predictions.block import Predictions


class Serial:
    """Runs a model over images without threads; may be used again.

    Args:
        loader: Turns an entry into uint8 (h, w, 3).
        backend: uint8 (N, h, w, 3) -> logits (N, K); stays open.
        classes: K, the number of logits to expect.
        temperature: Of the card.
    """

    def __init__(
        self, loader: ImageLoader, backend: Backend, *, classes: int, temperature: float | None = None
    ) -> None:
        self._loader, self._backend, self._classes = loader, backend, classes
        self._temperature = temperature or 1.0
        #: Where the time of the last run went; None until it has ended.
        self.timing: Timing | None = None

    def run(self, entries: Sequence[Entry]) -> Iterator[Predictions]:
        """Classify every entry; a block for each, in input order.

        Raises:
            Exception: whatever the backend raised; an image's own failure is a row with a
                reason instead.
        """
        self.timing = None
        clock, started, started_busy = StageClock(), time.perf_counter(), time.process_time()
        first = (0.0, 0)
        (memory,) = allocate(self._backend, (1, *self._loader.transform.size, 3), 1)
        batch = Batch(memory)
        for number, entry in enumerate(entries):
            batch.fill((entry,), number)
            batch.load(0, self._loader, clock)
            batch.run(self._backend, self._classes, clock)
            if number == 0:
                first = (time.perf_counter() - started, 1)
            found = predictions((batch,), self._temperature, clock)
            mark = clock.mark()
            yield found
            clock.lap("write", mark)
        self.timing = Timing(
            time.perf_counter() - started,
            len(entries),
            clock,
            first_batch=first[0],
            first_batch_images=first[1],
            workers=1,
            cores=available_cores(),
            shares_cores=self._backend.shares_cores,
            model_threads=self._backend.threads,
            device_seconds=clock.wall["inference"],
            process_seconds=time.process_time() - started_busy,
        )
