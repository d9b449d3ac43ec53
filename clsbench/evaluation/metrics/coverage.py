"""The ``coverage`` metric: how much can be automated, and how right that part is."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
from numpy.typing import NDArray

from clsbench.evaluation.absence import absent
from clsbench.evaluation.intervals import wilson
from clsbench.predictions.outcomes import Outcomes

#: Confidences from which on an image counts as decided.
THRESHOLDS = (0.5, 0.6, 0.7, 0.8, 0.9, 0.95, 0.99)

#: Accuracies for which the threshold is looked for.
TARGETS = (0.95, 0.99)


def build() -> Callable[[Outcomes], dict[str, Any]]:
    """The metric; see :func:`coverage`."""
    return coverage


def coverage(outcomes: Outcomes) -> dict[str, Any]:
    """Coverage and accuracy of the images at or above a confidence.

    Source: R. El-Yaniv and Y. Wiener, On the foundations of noise-free selective classification,
    JMLR 11 (2010).

    Returns:
        ``coverage``: a list, for each of :data:`THRESHOLDS` ``threshold``, ``kept`` (images),
        ``coverage`` (their share), ``accuracy`` (None without any), and its 95 % Wilson interval ``low``
        and ``high``. ``coverage_for_accuracy``: a list, for each of :data:`TARGETS` ``target`` and the
        same values at the lowest threshold that reaches it, ``threshold`` None where none does.
    """
    unknown = int(np.isnan(outcomes.confidence).sum())
    if unknown:
        reason = f"the confidence is not known for {unknown} images"
        return absent(reason, "coverage", "coverage_for_accuracy")
    order = np.argsort(-outcomes.confidence, kind="stable")
    falling = outcomes.confidence[order]
    right = np.cumsum(outcomes.predicted[order] == outcomes.labels[order])
    at = []
    for threshold in THRESHOLDS:
        kept = int(np.searchsorted(-falling, -falling.dtype.type(threshold), side="right"))
        at.append({"threshold": threshold, **_row(right, kept)})
    return {"coverage": at, "coverage_for_accuracy": [_reach(falling, right, target) for target in TARGETS]}


def _row(right: NDArray[np.int64], kept: int) -> dict[str, Any]:
    correct = int(right[kept - 1]) if kept else 0
    low, high = wilson(correct, kept)
    return {
        "kept": kept,
        "coverage": kept / len(right),
        "accuracy": correct / kept if kept else None,
        "low": low,
        "high": high,
    }


def _reach(falling: NDArray[np.floating[Any]], right: NDArray[np.int64], target: float) -> dict[str, Any]:
    """The largest part, from the most confident image on, that is as accurate as the target."""
    # Images of one confidence are decided together, so only the last of them can be the border.
    ends = np.flatnonzero(np.append(falling[1:] != falling[:-1], True)) + 1
    reaching = ends[right[ends - 1] / ends >= target - 1e-12]
    kept = int(reaching[-1]) if reaching.size else 0
    return {"target": target, "threshold": float(falling[kept - 1]) if kept else None, **_row(right, kept)}
