"""The ``averages`` metric: one number for all classes, equal weights or by support."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

from clsbench.evaluation.metrics.per_class import per_class
from clsbench.predictions.outcomes import Outcomes


def build() -> Callable[[Outcomes], dict[str, Any]]:
    """The metric; see :func:`averages`."""
    return averages


def averages(outcomes: Outcomes) -> dict[str, Any]:
    """Means over the classes that have images.

    Returns:
        ``balanced_accuracy``: the mean recall, as scikit-learn's ``balanced_accuracy_score``.
        ``macro`` and ``weighted``: precision, recall and f1, each class counting the same, or by
        its support. The weighted recall is the accuracy.
    """
    measured = per_class(outcomes)
    rows = list(measured["per_class"].values())
    support = [row["support"] for row in rows]
    weighted = {
        name: float(np.average([row[name] for row in rows], weights=support)) for name in ("precision", "recall", "f1")
    }
    return {
        "balanced_accuracy": measured["macro"]["recall"],
        "macro": measured["macro"],
        "weighted": weighted,
    }
