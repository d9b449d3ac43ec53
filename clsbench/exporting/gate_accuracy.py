"""What other answers than the network's cost: flips, the accuracy of each, and how far apart they can be."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
from numpy.typing import NDArray

from clsbench.evaluation.comparison.paired import bootstrap_interval, count_flips
from clsbench.exporting.gate_blame import Passes


def of_all_images(passes: Passes) -> NDArray[np.float32]:
    """What the file says of all images, at a batch size that all were run at."""
    return max(passes.values(), key=lambda rows_and_got: len(rows_and_got[0]))[1]


def other_answers(passes: Passes, expected: NDArray[np.float32], allowed: float | None) -> tuple[list[int], list[int]]:
    """Rows with another top-1 at any batch size: those that count, and those of near ties."""
    second, best = np.sort(expected, axis=1)[:, -2:].T
    differ = np.zeros(len(expected), bool)
    for rows, got in passes.values():
        differ[rows] |= got.argmax(axis=1) != expected[rows].argmax(axis=1)
    tied = differ & (best - second <= 2 * allowed) if allowed is not None else np.zeros_like(differ)
    return np.flatnonzero(differ & ~tied).tolist(), np.flatnonzero(tied).tolist()


def lowest_accuracy(passes: Passes, labels: NDArray[np.int64]) -> float:
    """The lowest accuracy over the batch sizes; images that were not run at one count as at the plan's."""
    whole = of_all_images(passes)
    lowest = accuracy_of(whole, labels)
    for rows, got in passes.values():
        mixed = whole.copy()
        mixed[rows] = got
        lowest = min(lowest, accuracy_of(mixed, labels))
    return lowest


def cost(got: NDArray[np.float32], expected: NDArray[np.float32], labels: NDArray[np.int64] | None) -> dict[str, Any]:
    """What the other answers of a file cost: fields of the report."""
    ours, theirs = got.argmax(axis=1), expected.argmax(axis=1)
    if labels is None:
        rows = np.arange(len(expected))
        lost = (expected[rows, theirs] - expected[rows, ours]).mean(dtype=np.float64)
        return {"expected_drop": finite(100 * lost) if np.isfinite(got).all() else 100.0}
    flips = count_flips(theirs == labels, ours == labels)
    low, high = bootstrap_interval(flips)
    return {"lost": flips.lost, "gained": flips.gained, "drop_interval": (-100 * high, -100 * low)}


def accuracy_of(probabilities: NDArray[np.float32], labels: NDArray[np.int64]) -> float:
    """Top-1 as a fraction, of float32 (n, K)."""
    return float((probabilities.argmax(axis=1) == labels).mean())


def finite(value: float | np.floating[Any]) -> float | None:
    """The number, or None for what is none."""
    return float(value) if math.isfinite(value) else None
