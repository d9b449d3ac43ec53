"""The ``per-class`` metric: precision, recall, F1 and support of each class."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

from clsbench.predictions import Outcomes


def build() -> Callable[[Outcomes], dict[str, Any]]:
    """The metric; see :func:`per_class`."""
    return per_class


def per_class(outcomes: Outcomes) -> dict[str, Any]:
    """scikit-learn's precision, recall, F1 and support; 0 where nothing defines them.

    Returns:
        ``per_class``: class name -> precision, recall, f1, support. ``macro``: the plain
        means over the classes that have images.
    """
    from sklearn.metrics import precision_recall_fscore_support

    measured = precision_recall_fscore_support(
        outcomes.labels, outcomes.predicted, labels=np.arange(len(outcomes.classes)), zero_division=0
    )
    names = ("precision", "recall", "f1", "support")
    table = {
        name: dict(zip(names, (float(p), float(r), float(f), int(s)), strict=True))
        for name, p, r, f, s in zip(outcomes.classes, *measured, strict=True)
    }
    present = [row for row in table.values() if row["support"]]
    macro = {name: float(np.mean([row[name] for row in present])) for name in names[:3]}
    return {"per_class": table, "macro": macro}
