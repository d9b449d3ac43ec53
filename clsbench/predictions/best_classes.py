"""The best classes and their probabilities, out of the probabilities of all classes."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from clsbench.predictions.outcomes import RANKED
from clsbench.predictions.spill import parts

#: How much more probable than the predicted class another must be to be more than rounding.
SURPRISE = 1e-4


@dataclass(frozen=True)
class BestClasses:
    """What the probabilities say of N images.

    Args:
        ranked: int32 (N, min(5, K)), the predicted class, then the most probable of the others, ties
            in class order; -1 for images that were not classified.
        confidence: float64 (N,), the probability of the predicted class, NaN where there is none.
        label_confidence: float64 (N,), the same of the true class.
        surprises: How many predicted classes are not the most probable.
    """

    ranked: NDArray[np.int32]
    confidence: NDArray[np.float64]
    label_confidence: NDArray[np.float64]
    surprises: int


def look_up(matrix: NDArray[np.float32], predicted: NDArray[np.int32], labels: NDArray[np.int32]) -> BestClasses:
    """Look up and order probabilities.

    Args:
        matrix: float32 (K, N), NaN for images that were not classified.
        predicted: int32 (N,), -1 for those.
        labels: int32 (N,), -1 where unknown.
    """
    height, width = matrix.shape
    ranked = np.empty((width, min(RANKED, height)), np.int32)
    confidence, of_label = np.empty(width), np.empty(width)
    surprises = 0
    for columns, part in parts(matrix):
        best, truth, index = predicted[columns], labels[columns], np.arange(part.shape[1])
        confidence[columns] = np.where(best < 0, np.nan, part[best, index])
        of_label[columns] = np.where(truth < 0, np.nan, part[truth, index])
        surprises += int((part.max(axis=0) > confidence[columns] + SURPRISE).sum())
        ranked[columns] = _order(part, best, ranked.shape[1])
    return BestClasses(ranked, confidence, of_label, surprises)


def _order(part: NDArray[np.float32], best: NDArray[np.int32], depth: int) -> NDArray[np.int32]:
    """int32 (n, depth). Repeated maxima: a full sort of 1,000 classes costs many times as much."""
    left, index = part.copy(), np.arange(part.shape[1])
    order = [best]
    for _ in range(depth - 1):
        left[order[-1], index] = -1
        order.append(left.argmax(axis=0).astype(np.int32))
    ordered = np.stack(order, axis=1)
    ordered[best < 0] = -1
    return ordered
