"""The ``accuracy`` metric: top-1, and top-5 where there are more than five classes."""

from __future__ import annotations

from clsbench.predictions.metric import REPORT, TERMINAL, Shown, ShownMetric
from clsbench.predictions.outcomes import RANKED, Outcomes
from clsbench.predictions.values import Proportion

DEPTHS = range(1, RANKED + 1)

SHOWN = (
    *(Shown(f"top{k}", "proportion", f"top{k}", places=TERMINAL) for k in DEPTHS),
    *(Shown(f"top{k}", "proportion", f"Top-{k}", places=REPORT) for k in DEPTHS),
)


def build() -> ShownMetric:
    """The metric; see :func:`accuracy`."""
    return ShownMetric(accuracy, SHOWN)


def accuracy(outcomes: Outcomes) -> dict[str, Proportion]:
    """Top-1 and top-5 accuracy, each with its 95 % Wilson interval.

    Where fewer than five of the best classes are known, the second is ``top3`` or whatever is known.

    Returns:
        ``top1`` and ``top5``.
    """
    known = min(RANKED, outcomes.ranked.shape[1])
    depths = [1, *([known] if 1 < known < len(outcomes.classes) else [])]
    hits = outcomes.ranked == outcomes.labels[:, None]
    return {f"top{k}": Proportion.of(int(hits[:, :k].any(axis=1).sum()), len(hits)) for k in depths}
