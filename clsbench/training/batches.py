"""Batches in the order of an epoch, from images or from cached features."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterator, Mapping
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass, field
from typing import Protocol

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from clsbench.training.processes import Processes
from clsbench.training.transfer import to_tensor


class BatchSource(Protocol):
    """Labelled inputs that batches are drawn from."""

    labels: NDArray[np.int64]

    @property
    def indices(self) -> NDArray[np.int64]:
        """Of the inputs that can be used, int64; the same in every epoch."""

    @property
    def failing(self) -> Mapping[int, str]:
        """Those of :attr:`indices` that could not be read when they were last wanted, with the reason."""

    def agree(self, processes: Processes) -> None:
        """After a pass in which each process has read its part, know what all of them could not read."""

    @property
    def ahead(self) -> int:
        """How many batches to fetch before they are needed."""

    def fetch(self, indices: NDArray[np.int64], view: int) -> tuple[NDArray[np.generic] | Tensor, NDArray[np.int64]]:
        """Inputs (n, …) as they are stored, a tensor if on the device, and the indices of those that could be read."""

    def name(self, index: int) -> str:
        """Of an input, for messages."""

    def refuse(self) -> None:
        """No input of an epoch could be read; raises DataError."""

    def finish(
        self, stored: Tensor, indices: NDArray[np.int64], view: int, draws: NDArray[np.int64] | None = None
    ) -> Tensor:
        """The network's inputs (n, …) in a view, from 1; 0 is without randomness.

        ``draws`` int64 (n,), below the number of inputs, tells apart several draws of one input in a view; None where
        there is but one of each.

        It runs in another thread where batches are fetched ahead, and must not draw torch's random numbers.
        """


@dataclass(frozen=True)
class Batches:
    """Iterates over a source in batches.

    Args:
        source: What to draw from.
        batch_size: Of all batches but the last, in all processes together.
        device: Where the batches go.
        seed: Of the order.
        shuffle: Whether each epoch has its own order; incomplete last batches are then dropped.
        balanced: Whether an epoch draws as many inputs with replacement, every class as likely as the others.
        views: How many augmented views there are, shown in turn; 1 means the inputs without
            randomness, 0 new ones in every epoch.
        processes: That share each batch.
    """

    source: BatchSource
    batch_size: int
    device: torch.device
    seed: int = 0
    shuffle: bool = False
    balanced: bool = False
    views: int = 0
    processes: Processes = field(default_factory=Processes)

    def __len__(self) -> int:
        return len(self._starts(len(self.source.indices)))

    def _starts(self, count: int) -> range:
        whole = count - count % self.batch_size
        return range(0, whole if self.shuffle and whole else count, self.batch_size)

    def _order(self, number: int) -> NDArray[np.int64]:
        """Indices of the inputs in the order of an epoch, a function of the seed and its number."""
        indices = self.source.indices
        if not self.shuffle:
            return indices
        random = np.random.default_rng((self.seed, number))
        if not self.balanced:
            return random.permutation(indices)
        _, places, counts = np.unique(self.source.labels[indices], return_inverse=True, return_counts=True)
        return random.choice(indices, size=len(indices), p=1 / (len(counts) * counts[places]))

    def epoch(self, number: int) -> Iterator[tuple[Tensor, Tensor]]:
        """Batches of one epoch: inputs (n, …), labels int64 (n,). Unreadable images are missing.

        Of several processes each gets its part of every batch, which may be empty.

        Args:
            number: From 1; 0 for the inputs without randomness.

        Raises:
            DataError: if no image can be read.
        """
        for _, inputs, labels in self.numbered(number):
            yield inputs, labels

    def numbered(self, number: int, done: int = 0) -> Iterator[tuple[int, Tensor, Tensor]]:
        """The same without the first batches, each with how many of the epoch's are done after it.

        Args:
            number: As for :meth:`epoch`.
            done: How many batches to leave out, from the beginning of the epoch.
        """
        for position, inputs, indices in self._positioned(number, done):
            yield position, inputs, to_tensor(self.source.labels[indices], self.device)

    def indexed(self, number: int) -> Iterator[tuple[Tensor, NDArray[np.int64]]]:
        """Batches of :meth:`epoch`, with the indices (n,) of the inputs instead of their labels."""
        for _, inputs, indices in self._positioned(number):
            yield inputs, indices

    def _positioned(self, number: int, done: int = 0) -> Iterator[tuple[int, Tensor, NDArray[np.int64]]]:
        order = self._order(number)
        places = np.arange(len(order))
        parts = [self.processes.share(places[start : start + self.batch_size]) for start in self._starts(len(order))]
        view = 0 if self.views == 1 else (number - 1) % self.views + 1 if self.views else number
        source = self.source

        def begin(part: NDArray[np.int64]) -> tuple[Tensor, NDArray[np.int64]]:
            stored, indices = source.fetch(order[part], view)
            inputs = stored if isinstance(stored, Tensor) else to_tensor(stored, self.device)
            # The place in the order, so that copies of one image in an epoch are augmented differently.
            draws = part[np.isin(order[part], indices)][: len(indices)] if self.balanced else None
            return (source.finish(inputs, indices, view, draws) if len(indices) else inputs), indices

        some, fetched = done > 0, _ahead(begin, parts[done:], source.ahead)
        for position, (part, (inputs, indices)) in enumerate(zip(parts[done:], fetched, strict=True), start=done + 1):
            # A batch of which no image can be read is passed over, and counts as done; of several processes
            # all take every step.
            alone = self.shuffle and len(indices) == 1 < len(part)  # one image has no batch statistics
            if (len(indices) and not alone) or self.processes.several:
                some = True
                yield position, inputs, indices
        source.agree(self.processes)
        if not some or not len(np.setdiff1d(source.indices, list(source.failing))):
            source.refuse()


def _ahead(
    begin: Callable[[NDArray[np.int64]], tuple[Tensor, NDArray[np.int64]]], parts: list[NDArray[np.int64]], ahead: int
) -> Iterator[tuple[Tensor, NDArray[np.int64]]]:
    """``begin(part)`` for each part in order, the next few in another thread."""
    if not ahead:
        yield from map(begin, parts)
        return
    waiting: deque[Future[tuple[Tensor, NDArray[np.int64]]]] = deque()
    with ThreadPoolExecutor(1, thread_name_prefix="fetch") as pool:
        for part in parts:
            waiting.append(pool.submit(begin, part))
            if len(waiting) > ahead:
                yield waiting.popleft().result()
        while waiting:
            yield waiting.popleft().result()
