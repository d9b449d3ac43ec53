"""Calibration: whether, of the images with confidence 0.8, eight in ten are right."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from clsbench.evaluation.intervals import wilson


def reliability(
    confidence: NDArray[np.floating[Any]], correct: NDArray[np.bool_], *, bins: int = 15
) -> list[dict[str, Any]]:
    """Bins of equal mass by confidence, least confident first.

    Borders are the quantiles of the confidences, an image on a border belongs below it, and empty
    bins are left out, as in scikit-learn's ``calibration_curve(strategy="quantile")``. Equal
    confidences are never torn apart, so the order of the images does not matter.

    Args:
        confidence: Float (M,), probabilities of the predicted classes.
        correct: bool (M,), whether they are right.
        bins: How many.

    Returns:
        For each bin ``from`` and ``to`` (its least and greatest confidence), ``count``, the mean
        ``confidence``, the ``accuracy`` and its 95 % Wilson interval ``low`` and ``high``.
    """
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
        low, high = wilson(right, count)
        rows.append(
            {
                "from": float(values[start]),
                "to": float(values[end - 1]),
                "count": count,
                "confidence": float(values[start:end].mean()),
                "accuracy": right / count,
                "low": low,
                "high": high,
            }
        )
    return rows


def expected_calibration_error(rows: Sequence[dict[str, Any]]) -> float:
    """ECE: how far confidence and accuracy are apart, the mean over the images.

    Source: M. P. Naeini et al., Obtaining well calibrated probabilities using Bayesian binning,
    AAAI (2015); bins of equal mass: K. Nguyen and B. O'Connor, Posterior calibration, EMNLP (2015).

    Args:
        rows: From :func:`reliability`.
    """
    total = sum(row["count"] for row in rows)
    return float(sum(row["count"] * abs(row["accuracy"] - row["confidence"]) for row in rows) / total)
