"""The ``per-class`` metric: precision, recall, F1 and support of each class."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

from clsbench.evaluation.intervals import wilson
from clsbench.predictions.outcomes import Outcomes


def build() -> Callable[[Outcomes], dict[str, Any]]:
    """The metric; see :func:`per_class`."""
    return per_class


def per_class(outcomes: Outcomes) -> dict[str, Any]:
    """scikit-learn's precision, recall, F1 and support; 0 where nothing defines them.

    Returns:
        ``per_class``: class name -> precision, recall, f1, support, and the 95 % Wilson
        interval of the recall, recall_low and recall_high (0 and 1 without images).
        ``macro``: the plain means over the classes that have images.
    """
    from sklearn.metrics import precision_recall_fscore_support

    count = len(outcomes.classes)
    labels, predicted, times = outcomes.pairs
    precision, recall, f1, support = precision_recall_fscore_support(
        labels, predicted, labels=np.arange(count), sample_weight=times, zero_division=0
    )
    hits = np.zeros(count, np.int64)
    hits[labels[labels == predicted]] = times[labels == predicted]
    table = {}
    for k, name in enumerate(outcomes.classes):
        low, high = wilson(int(hits[k]), int(support[k]))
        table[name] = {
            "precision": float(precision[k]),
            "recall": float(recall[k]),
            "f1": float(f1[k]),
            "support": int(support[k]),
            "recall_low": low,
            "recall_high": high,
        }
    present = support > 0
    means = {"precision": precision, "recall": recall, "f1": f1}
    return {"per_class": table, "macro": {name: float(values[present].mean()) for name, values in means.items()}}
