"""The ``accuracy`` metric: top-1, top-5 where there are more than five classes, and both sides of a threshold."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from clsbench.predictions.metric import REPORT, TERMINAL, Shown, ShownMetric
from clsbench.predictions.outcomes import RANKED, Outcomes
from clsbench.predictions.values import Absent, Proportion

DEPTHS = range(1, RANKED + 1)

SHOWN = (
    *(Shown(f"top{k}", "proportion", f"top{k}", places=TERMINAL) for k in DEPTHS),
    Shown("kept", "proportion", "kept", places=TERMINAL),
    Shown("kept_top1", "proportion", "top1 of the kept", places=TERMINAL),
    *(Shown(f"top{k}", "proportion", f"Top-{k}", places=REPORT) for k in DEPTHS),
    Shown("kept", "proportion", "Kept, not abstained", places=REPORT),
    Shown("kept_top1", "proportion", "Top-1 of the kept", places=REPORT),
)


def build() -> ShownMetric:
    """The metric; see :func:`accuracy`."""
    return ShownMetric(accuracy, SHOWN)


def accuracy(outcomes: Outcomes) -> dict[str, Proportion | Absent]:
    """Top-1 and top-5 accuracy, each with its 95% Wilson interval.

    Where fewer than five of the best classes are known, the second is ``top3`` or whatever is known.

    Returns:
        ``top1`` and ``top5``; for a model with a threshold also :func:`of_kept`.
    """
    known = min(RANKED, outcomes.ranked.shape[1])
    depths = [1, *([known] if 1 < known < len(outcomes.classes) else [])]
    hits = outcomes.ranked == outcomes.labels[:, None]
    found: dict[str, Proportion | Absent]
    found = {f"top{k}": Proportion.of(int(hits[:, :k].any(axis=1).sum()), len(hits)) for k in depths}
    return found if outcomes.abstained is None else found | of_kept(hits[:, 0], ~outcomes.abstained)


def of_kept(right: NDArray[np.bool_], kept: NDArray[np.bool_]) -> dict[str, Proportion | Absent]:
    """Coverage and accuracy of the images that a model did not abstain from.

    Source: R. El-Yaniv and Y. Wiener, On the foundations of noise-free selective classification, JMLR 11 (2010).

    Args:
        right: bool (M,), whether the best class is the true one.
        kept: bool (M,).

    Returns:
        ``kept``, the share, and ``kept_top1``.
    """
    count = int(kept.sum())
    accuracy = Proportion.of(int(right[kept].sum()), count) if count else Absent("the model abstains from every image")
    return {"kept": Proportion.of(count, len(kept)), "kept_top1": accuracy}
