"""Which images lie behind an entry of the confusion matrix, as many as a page can carry."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from clsbench.predictions.table import PredictionTable

#: Images kept for a pair of classes that are confused, and for a class that is right.
PER_MISTAKE, PER_CLASS = 60, 12

#: Images kept in all, and bytes of their names.
IMAGES, BYTES = 20_000, 1_200_000


@dataclass(frozen=True)
class Listed:
    """An image: its name and the probability of the predicted class, None where unknown."""

    name: str
    confidence: float | None


def images_by_cell(table: PredictionTable) -> dict[tuple[int, int], list[Listed]]:
    """Images behind each (true class, predicted class), the least probable label first.

    Every pair of classes gets its first image before any gets its second, and mistakes come before
    what is right, so that a budget that runs out costs the least telling ones.

    Args:
        table: N images; a million take about a second.
    """
    rows, keys = _ordered(table)
    found: dict[tuple[int, int], list[Listed]] = {}
    left = BYTES
    for key, title, value in zip(keys.tolist(), table.names.take(rows), table.confidence[rows].tolist(), strict=True):
        left -= len(title) + 10
        if left < 0:
            break
        listed = Listed(title, None if np.isnan(value) else value)
        found.setdefault(divmod(key, len(table.classes)), []).append(listed)
    return found


def _ordered(table: PredictionTable) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """Rows in the order in which they are worth showing, and K * true + predicted of each; int64 (M,)."""
    rows = np.flatnonzero((table.labels >= 0) & (table.predicted >= 0))
    labels, predicted = table.labels[rows].astype(np.int64), table.predicted[rows].astype(np.int64)
    keys = labels * len(table.classes) + predicted
    unsure = [np.nan_to_num(values, nan=np.inf) for values in (-table.confidence[rows], table.label_confidence[rows])]
    order = np.lexsort((*unsure, keys))
    rows, keys, right = rows[order], keys[order], (labels == predicted)[order]
    starts = np.flatnonzero(np.diff(keys, prepend=-1))
    sizes = np.diff(starts, append=len(keys))
    rank = np.arange(len(keys)) - np.repeat(starts, sizes)
    kept = np.flatnonzero(rank < np.where(right, PER_CLASS, PER_MISTAKE))
    chosen = kept[np.lexsort((-np.repeat(sizes, sizes)[kept], rank[kept], right[kept]))][:IMAGES]
    return rows[chosen], keys[chosen]
