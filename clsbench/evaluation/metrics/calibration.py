"""Calibration: whether, of the images with confidence 0.8, eight in ten are right."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from clsbench.predictions.values import Rows, Value, wilson

#: Bins where nothing else is asked for, and the fewest images of one: the 95% interval of 20 is 40 points wide.
BINS, PER_BIN = 15, 20


@dataclass(frozen=True)
class ReliabilityBin(Value):
    """Images with a confidence from ``start`` to ``end``, their mean confidence, and their accuracy.

    ``low`` and ``high`` are the 95% Wilson interval of the accuracy.
    """

    start: float
    end: float
    count: int
    confidence: float
    accuracy: float
    low: float
    high: float

    def to_json(self) -> Any:
        """With ``from`` and ``to`` for the borders."""
        values = super().to_json()
        return {"from": values.pop("start"), "to": values.pop("end")} | values


class Reliability(Rows[ReliabilityBin]):
    """The bins of a reliability diagram, at least one, least confident first."""

    @property
    def total(self) -> int:
        """Images."""
        return sum(row.count for row in self.rows)

    @property
    def has_few_bins(self) -> bool:
        """Whether there are too few images to fill :data:`BINS` bins."""
        return self.total < BINS * PER_BIN

    @property
    def ece(self) -> float:
        """Expected calibration error: how far confidence and accuracy are apart, the mean over the images.

        Source: M. P. Naeini et al., Obtaining well calibrated probabilities using Bayesian binning,
        AAAI (2015); bins of equal mass: K. Nguyen and B. O'Connor, Posterior calibration, EMNLP (2015).
        """
        return float(sum(row.count * abs(row.accuracy - row.confidence) for row in self.rows) / self.total)

    @property
    def gap(self) -> float:
        """Mean confidence minus accuracy."""
        return sum(row.count * (row.confidence - row.accuracy) for row in self.rows) / self.total


def reliability(
    confidence: NDArray[np.floating[Any]], correct: NDArray[np.bool_], *, bins: int | None = None
) -> Reliability:
    """Bins of equal mass by confidence.

    With few images there are fewer bins than :data:`BINS`, so that each has :data:`PER_BIN`: small bins
    show chance, and make the calibration error of a calibrated model look large.
    Source: R. Roelofs et al., Mitigating bias in calibration error estimation, AISTATS (2022), arXiv:2012.08668.

    Borders are the quantiles of the confidences, an image on a border belongs below it, and empty
    bins are left out, as in scikit-learn's ``calibration_curve(strategy="quantile")``. Images of equal
    confidence stay in one bin, so the order of the images does not matter.

    Args:
        confidence: Float (M,), probabilities of the predicted classes.
        correct: bool (M,), whether they are right.
        bins: How many; by default as many as the images fill, at most :data:`BINS`.
    """
    bins = bins or min(BINS, max(1, len(confidence) // PER_BIN))
    values = confidence.astype(np.float64)
    borders = np.percentile(values, np.linspace(0, 1, bins + 1) * 100)[1:-1]
    order = np.argsort(values)
    values, hits = values[order], correct[order]
    starts = np.unique([0, *np.searchsorted(values, borders, side="right")])
    rows = []
    for start, end in zip(starts, [*starts[1:], len(values)], strict=True):
        if start == end:
            continue
        count, right = int(end - start), int(hits[start:end].sum())
        least, greatest, mean = float(values[start]), float(values[end - 1]), float(values[start:end].mean())
        rows.append(ReliabilityBin(least, greatest, count, mean, right / count, *wilson(right, count)))
    return Reliability(tuple(rows))
