"""The ``averages`` metric: one number for all classes, equal weights or by support."""

from __future__ import annotations

from clsbench.evaluation.metrics.per_class import Averages, PerClass, per_class
from clsbench.predictions.metric import REPORT, TERMINAL, Shown, ShownMetric
from clsbench.predictions.outcomes import Outcomes


def build() -> ShownMetric:
    """The metric; see :func:`averages`."""
    return ShownMetric(averages, SHOWN)


def averages(outcomes: Outcomes) -> dict[str, float | Averages]:
    """Means over the classes that have images.

    Returns:
        ``balanced_accuracy``: the mean recall, as scikit-learn's ``balanced_accuracy_score``.
        ``macro`` and ``weighted``: precision, recall and f1, each class counting the same, or by
        its support. The weighted recall is the accuracy.
    """
    measured = per_class(outcomes)["per_class"]
    assert isinstance(measured, PerClass)
    return {
        "balanced_accuracy": measured.macro.recall,
        "macro": measured.macro,
        "weighted": measured.weighted,
    }


def _written(means: Averages) -> str:
    return f"{means.precision:.3f} / {means.recall:.3f} / {means.f1:.3f}"


SHOWN = (
    Shown("macro", "score", "macro precision / recall / F1", format=_written, places=TERMINAL),
    Shown("weighted", "score", "weighted precision / recall / F1", format=_written, places=TERMINAL),
    Shown("balanced_accuracy", "score", "balanced accuracy", format=".2%", places=TERMINAL),
    Shown("macro", "section", "Macro", "every class counts the same", places=REPORT),
    Shown("weighted", "section", "Weighted", "by number of images", places=REPORT),
    Shown(
        "balanced_accuracy", "score", "Balanced accuracy", format=".2%", places=REPORT,
        meaning="mean recall: every class counts the same",
    ),
)  # fmt: skip
