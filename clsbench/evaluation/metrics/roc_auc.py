"""The ``roc-auc`` metric: how well each class's probability tells it from the rest."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from clsbench.predictions.metric import NO_PROBABILITIES, REPORT, TERMINAL, Shown, ShownMetric
from clsbench.predictions.outcomes import Outcomes
from clsbench.predictions.spill import release
from clsbench.predictions.values import Absent, Value


@dataclass(frozen=True)
class ClassAreas(Value):
    """Class name -> area under the ROC curve, None where all images or none belong to it."""

    areas: Mapping[str, float | None]

    def to_json(self) -> Any:
        """By class name."""
        return dict(self.areas)


def build() -> ShownMetric:
    """The metric; see :func:`roc_auc`."""
    return ShownMetric(roc_auc, SHOWN)


def roc_auc(outcomes: Outcomes) -> dict[str, float | Value]:
    """Area under the ROC curve, one class against the rest.

    Returns:
        ``roc_auc``: the plain mean over the classes that have one. ``roc_auc_per_class``: :class:`ClassAreas`.
    """
    if outcomes.probabilities is None:
        return {"roc_auc": NO_PROBABILITIES, "roc_auc_per_class": NO_PROBABILITIES}
    total = len(outcomes.labels)
    order = np.argsort(outcomes.labels, kind="stable")
    bounds = np.searchsorted(outcomes.labels[order], np.arange(len(outcomes.classes) + 1))
    areas: dict[str, float | None] = {}
    for k, name in enumerate(outcomes.classes):
        positives = order[bounds[k] : bounds[k + 1]]
        defined = 0 < len(positives) < total
        areas[name] = area(outcomes.probabilities[:, k], positives) if defined else None
        release(outcomes.probabilities)
    known = [value for value in areas.values() if value is not None]
    if not known:
        absent = Absent("needs labels of at least two classes")
        return {"roc_auc": absent, "roc_auc_per_class": absent}
    return {"roc_auc": float(np.mean(known)), "roc_auc_per_class": ClassAreas(areas)}


def area(scores: NDArray[np.float32], positives: NDArray[np.int64]) -> float:
    """The probability that a positive scores higher than a negative; ties count half.

    The Mann-Whitney statistic by ranks. Source: J. A. Hanley and B. J. McNeil, The meaning and use
    of the area under a ROC curve, Radiology 143 (1982). Equal to scikit-learn's ``roc_auc_score``,
    which takes some ten times as long for each of many classes.

    Args:
        scores: float32 (M,).
        positives: int64 (P,), the rows of the positives, 0 < P < M.
    """
    values = np.sort(scores)
    own = np.sort(scores[positives])
    twice_ranks = int((np.searchsorted(values, own, "left") + np.searchsorted(values, own, "right") + 1).sum())
    count = len(own)
    return (twice_ranks - count * (count + 1)) / (2 * count * (len(values) - count))


SHOWN = (
    Shown("roc_auc", "score", "ROC-AUC (macro)", format=".4f", places=TERMINAL),
    Shown(
        "roc_auc", "score", "ROC-AUC", format=".3f", places=REPORT,
        meaning="how well a class's probability tells it from the rest; 0.5 is chance, 1 perfect",
    ),
    Shown("roc_auc_per_class", "section", "ROC-AUC per class", places=REPORT),
)  # fmt: skip
