"""Batch: preallocated pixels on their way through the pipeline, and the predictions they become."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from clsbench.datasets.dataset import Sample
from clsbench.predictions.block import Predictions


@dataclass
class Batch:
    """Slots for images, and where they stand.

    Args:
        images: uint8 (N, h, w, 3), used again and again.
        samples: Up to N samples, one a slot.
        errors: For each of them why it has no pixels, or None.
        logits: float32 (n, K) once the model has run.
        number: Of this batch in the job.
        claimed, decoded: How many samples a worker has taken, and has done.
    """

    images: NDArray[np.uint8]
    samples: Sequence[Sample] = ()
    errors: list[str | None] = field(default_factory=list)
    logits: NDArray[np.float32] | None = None
    number: int = 0
    claimed: int = 0
    decoded: int = 0

    def fill(self, samples: Sequence[Sample], number: int) -> None:
        """Begin again with other samples."""
        self.samples, self.errors, self.logits = samples, [None] * len(samples), None
        self.number, self.claimed, self.decoded = number, 0, 0


def predictions(batches: Sequence[Batch], temperature: float) -> Predictions:
    """What the model said of several finished batches; rows without usable logits become errors."""
    logits = np.concatenate([batch.logits for batch in batches if batch.logits is not None])
    errors = [error for batch in batches for error in batch.errors]
    samples = [sample for batch in batches for sample in batch.samples]
    finite = [bool(np.isfinite(row).all()) for row in logits]
    for row, error in enumerate(errors):
        if error is not None:
            logits[row] = np.nan
        elif not finite[row]:
            errors[row], logits[row] = "the model returned logits that are not finite", np.nan
    labels = [-1 if sample.label is None else sample.label for sample in samples]
    return Predictions([s.name for s in samples], logits, errors, np.array(labels, np.int64), temperature)
