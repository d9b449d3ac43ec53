"""The ``abstention`` metric: how much a model with a threshold decides, and how right it is then."""

from __future__ import annotations

from clsbench.predictions.metric import REPORT, TERMINAL, Shown, ShownMetric
from clsbench.predictions.outcomes import Outcomes
from clsbench.predictions.values import Absent, Proportion


def build() -> ShownMetric:
    """The metric; see :func:`abstention`."""
    return ShownMetric(abstention, SHOWN)


def abstention(outcomes: Outcomes) -> dict[str, Proportion | Absent]:
    """Coverage and accuracy of the images that a model did not abstain from, each with its 95 % Wilson interval.

    Source: R. El-Yaniv and Y. Wiener, On the foundations of noise-free selective classification,
    JMLR 11 (2010).

    Returns:
        ``kept`` and ``kept_top1``; nothing where the predictions have no column ``abstained``.
    """
    if outcomes.abstained is None:
        return {}
    kept = ~outcomes.abstained
    right, count = outcomes.predicted == outcomes.labels, int(kept.sum())
    accuracy = Proportion.of(int(right[kept].sum()), count) if count else Absent("the model abstains from every image")
    return {"kept": Proportion.of(count, len(kept)), "kept_top1": accuracy}


SHOWN = (
    Shown("kept", "proportion", "kept", places=TERMINAL),
    Shown("kept_top1", "proportion", "top1 of the kept", places=TERMINAL),
    Shown("kept", "proportion", "Kept, not abstained", places=REPORT),
    Shown("kept_top1", "proportion", "Top-1 of the kept", places=REPORT),
)
