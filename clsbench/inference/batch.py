"""Batch: preallocated pixels on their way to the model, and the predictions they become."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from clsbench.errors import ClsbenchError, PluginError
from clsbench.images.batch_loader import BatchLoader
from clsbench.images.clock import NO_CLOCK, Clock
from clsbench.images.entries import Entry
from clsbench.images.loader import ImageLoader
from clsbench.inference.backend import Backend, classify, classify_with_features
from clsbench.inference.timing import StageClock
from clsbench.predictions.block import Predictions


@dataclass
class Batch:
    """Slots for images, and where they stand.

    Args:
        images: uint8 (N, h, w, 3), used again and again.
        entries: Up to N images, one a slot.
        errors: For each of them why it has no pixels, or None.
        reasons: The same as codes.
        logits: float32 (n, K) once the model has run.
        features: float32 (n, D) then, where they were asked for.
        number: Of this batch in the job.
        claimed, decoded: How many entries a worker has taken, and has done.
    """

    images: NDArray[np.uint8]
    entries: Sequence[Entry] = ()
    errors: list[str | None] = field(default_factory=list)
    reasons: list[str | None] = field(default_factory=list)
    logits: NDArray[np.float32] | None = None
    features: NDArray[np.float32] | None = None
    number: int = 0
    claimed: int = 0
    decoded: int = 0

    def fill(self, entries: Sequence[Entry], number: int) -> None:
        """Begin again with other entries."""
        self.entries, self.logits, self.features = entries, None, None
        self.errors, self.reasons = [None] * len(entries), [None] * len(entries)
        self.number, self.claimed, self.decoded = number, 0, 0

    def load(self, row: int, loader: ImageLoader, clock: Clock) -> None:
        """Read one image into its slot; a failure of its own is its row's error.

        Raises:
            PluginError: if a plugin failed in a way that is not about this image.
        """
        try:
            loader.load_into(self.entries[row], self.images[row], clock)
        except PluginError:
            raise
        except Exception as error:  # noqa: BLE001  one image never ends the job
            self._fail(row, error)

    def load_each(self, rows: range, loader: ImageLoader, clock: Clock, *, every: int = 1) -> Iterator[None]:
        """The same for several images, of which one in so many is timed; pauses after each of them."""
        for row in rows:
            self.load(row, loader, NO_CLOCK if (row - rows.start) % every else clock)
            yield

    def load_together(self, rows: range, batches: BatchLoader, clock: StageClock) -> Iterator[None]:
        """The same for several images, with a decoder that takes several at once; pauses after each of them."""
        entries, slots = self.entries[rows.start : rows.stop], self.images[rows.start : rows.stop]
        for number, error in batches.load(entries, slots, clock):
            if error is not None:
                self._fail(rows[number], error)
            yield

    def _fail(self, row: int, error: Exception) -> None:
        if isinstance(error, ClsbenchError):
            self.errors[row], self.reasons[row] = error.one_line(), getattr(error, "reason", "unreadable")
        else:
            self.errors[row], self.reasons[row] = f"{type(error).__name__}: {error}", "unreadable"

    def run(self, backend: Backend, classes: int, clock: StageClock, feature_dim: int | None = None) -> None:
        """Run the model, unless no image of the batch could be read.

        Args:
            backend: With the model in it.
            classes: K.
            clock: Hears how long it took.
            feature_dim: D, where features are asked for.

        Raises:
            Exception: as the backend raised it, or because it returned something else than logits and features.
        """
        count = len(self.entries)
        if all(error is not None for error in self.errors):
            self.logits = np.full((count, classes), np.nan, np.float32)
            self.features = None if feature_dim is None else np.full((count, feature_dim), np.nan, np.float32)
            return
        mark, images = clock.mark(), self.images[:count]
        self.logits, self.features = _classified(backend, images, classes, feature_dim)
        clock.lap("inference", mark)

    def warm_up(self, backend: Backend, classes: int, feature_dim: int | None = None) -> None:
        """Run the model once over whatever the slots hold, for the sake of its first call."""
        _classified(backend, self.images, classes, feature_dim)


def _classified(
    backend: Backend, images: NDArray[np.uint8], classes: int, feature_dim: int | None
) -> tuple[NDArray[np.float32], NDArray[np.float32] | None]:
    if feature_dim is None:
        return classify(backend, images, classes), None
    return classify_with_features(backend, images, classes, feature_dim)


def predictions(batches: Sequence[Batch], temperature: float, clock: StageClock) -> Predictions:
    """What the model said of several finished batches, without labels.

    Rows without usable logits become errors, and have no features either. The probabilities are computed here,
    so that they count as ``post``.
    """
    mark = clock.mark()
    logits = np.concatenate([batch.logits for batch in batches if batch.logits is not None])
    parts = [batch.features for batch in batches if batch.features is not None]
    features = np.concatenate(parts) if parts else None
    errors = [error for batch in batches for error in batch.errors]
    reasons = [reason for batch in batches for reason in batch.reasons]
    finite = np.isfinite(logits).all(axis=1).tolist()
    for row, error in enumerate(errors):
        if error is not None:
            logits[row] = np.nan
        elif not finite[row]:
            errors[row], reasons[row] = "the model returned logits that are not finite", "not_finite"
            logits[row] = np.nan
    if features is not None:
        features[[error is not None for error in errors]] = np.nan
    names = [entry.name for batch in batches for entry in batch.entries]
    found = Predictions(names, logits, errors, temperature=temperature, reasons=reasons, features=features)
    found.probabilities  # noqa: B018
    clock.lap("post", mark)
    return found
