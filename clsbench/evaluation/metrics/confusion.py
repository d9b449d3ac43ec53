"""The ``confusion`` metric: the confusion matrix, and the pairs of classes most often confused."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import Any

import numpy as np

from clsbench.predictions.outcomes import Outcomes

#: Up to so many classes the matrix is written in full.
DENSE = 50


def build(*, min_count: int = 2, limit: int = 200) -> Callable[[Outcomes], dict[str, Any]]:
    """The metric; see :func:`confusion`."""
    return partial(confusion, min_count=min_count, limit=limit)


def confusion(outcomes: Outcomes, *, min_count: int = 2, limit: int = 200) -> dict[str, Any]:
    """How often each class was taken for each other.

    Args:
        outcomes: To judge.
        min_count: Pairs confused less often are left out.
        limit: At most so many pairs.

    Returns:
        ``confusion``: ``classes``, and ``matrix`` (one row a true class, as scikit-learn's
        ``confusion_matrix``) or, beyond :data:`DENSE` classes, ``cells``: [true, predicted, count] as
        indices into the classes, for every count above 0. ``confused_pairs``: ``min_count``, ``found``
        (how many there are) and ``pairs``: label, predicted, count and ``share`` of the label's images,
        most frequent first.
    """
    labels, predicted, times = outcomes.pairs
    classes = outcomes.classes
    table: dict[str, Any] = {"classes": list(classes)}
    if len(classes) <= DENSE:
        matrix = np.zeros((len(classes), len(classes)), np.int64)
        matrix[labels, predicted] = times
        table["matrix"] = matrix.tolist()
    else:
        table["cells"] = np.stack([labels, predicted, times], axis=1).tolist()
    support = np.bincount(outcomes.labels, minlength=len(classes))
    wrong = np.flatnonzero((labels != predicted) & (times >= min_count))
    order = wrong[np.argsort(-times[wrong], kind="stable")]
    pairs = [
        {
            "label": classes[labels[k]],
            "predicted": classes[predicted[k]],
            "count": int(times[k]),
            "share": float(times[k] / support[labels[k]]),
        }
        for k in order[:limit]
    ]
    return {"confusion": table, "confused_pairs": {"min_count": min_count, "found": len(order), "pairs": pairs}}
