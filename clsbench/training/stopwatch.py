"""How fast an epoch trains, what limits it, and how long it still takes."""

from __future__ import annotations

import time
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from typing import TypeVar

import torch
from torch import Tensor

T = TypeVar("T")

#: Seconds between two reports.
EVERY = 0.5

#: A step without its backward pass, in steps: the backward pass takes twice the forward pass's operations.
FORWARD = 1 / 3


@dataclass(frozen=True)
class TrainingPace:
    """How an epoch goes.

    Args:
        epoch: From 1.
        batch: How many of its ``total`` batches are done.
        images_per_second: That are trained on, of all processes; validation does not count.
        waited: The share of the time that steps waited for their images, 0 to 1.
        epoch_left: Seconds, with the validation.
        run_left: Seconds, of all epochs; at least that, where ``more`` stages follow whose speed is not known yet.
        more: Whether there are such stages.
    """

    epoch: int
    batch: int
    total: int
    images_per_second: float
    waited: float
    epoch_left: float
    run_left: float
    more: bool = False


class Stopwatch:
    """Takes the time of the steps of one epoch, and of their waiting for batches.

    Args:
        device: Of the steps. A GPU works on while the next batch is waited for: only the time counts in which it had
            nothing to do, found by an event, which does not make it wait.
        processes: How many share a batch.
    """

    def __init__(self, device: torch.device, processes: int = 1) -> None:
        self._gpu, self._processes = device.type == "cuda", processes
        self._began = self._now = time.perf_counter()
        self._event: torch.cuda.Event | None = None
        #: Batches and images so far, and seconds of waiting for them.
        self.batches = self.images = 0
        self.waiting = 0.0

    def timed(self, batches: Iterable[tuple[int, Tensor, T]]) -> Iterator[tuple[int, Tensor, T]]:
        """The same batches: position, inputs (n, …) and what belongs to them."""
        source = iter(batches)
        self._began = self._now = time.perf_counter()
        while True:
            asked = time.perf_counter()
            batch = next(source, None)
            if batch is None:
                return
            idle = self._event is None or self._event.query()  # type: ignore[no-untyped-call]
            waited = time.perf_counter() - asked if idle else 0.0
            yield batch
            self._now, self.waiting = time.perf_counter(), self.waiting + waited
            self.batches, self.images = self.batches + 1, self.images + self._processes * len(batch[1])
            if self._gpu:
                self._event = torch.cuda.Event()  # type: ignore[no-untyped-call]
                self._event.record()

    @property
    def seconds(self) -> float:
        """Up to the end of the last step."""
        return max(self._now - self._began, 1e-9)

    @property
    def images_per_second(self) -> float:
        """Of the steps so far."""
        return self.images / self.seconds

    @property
    def waited(self) -> float:
        """The share of the time that steps waited for their images."""
        return min(1.0, self.waiting / self.seconds)


def pace(
    watch: Stopwatch, epoch: int, batch: int, total: int, *, val: tuple[int, float | None], epochs: int, more: bool
) -> TrainingPace:
    """What a stopwatch says of an epoch and of a run.

    Args:
        watch: Of the epoch.
        epoch, batch, total, more: As for :class:`TrainingPace`.
        val: Batches of a validation, and the seconds that the last one took, if there was one.
        epochs: Of the stage that come after this one.
    """
    each = watch.seconds / max(1, watch.batches)
    validation = val[0] * each * FORWARD if val[1] is None else val[1]
    left = (total - batch) * each + validation
    return TrainingPace(
        epoch, batch, total, watch.images_per_second, watch.waited, left,
        left + epochs * (total * each + validation), more,
    )  # fmt: skip
