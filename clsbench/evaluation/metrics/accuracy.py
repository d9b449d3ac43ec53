"""The ``accuracy`` metric: top-1, and top-5 where there are more than five classes."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from clsbench.evaluation.intervals import wilson
from clsbench.predictions.outcomes import RANKED, Outcomes


def build() -> Callable[[Outcomes], dict[str, Any]]:
    """The metric; see :func:`accuracy`."""
    return accuracy


def accuracy(outcomes: Outcomes) -> dict[str, Any]:
    """Top-1 and top-5 accuracy, each with its 95 % Wilson interval.

    Where fewer than five of the best classes are known, the second is ``top3`` or whatever is known.

    Returns:
        ``top1`` and ``top5``: value, low, high (fractions), correct and total (counts).
    """
    known = min(RANKED, outcomes.ranked.shape[1])
    depths = [1, *([known] if 1 < known < len(outcomes.classes) else [])]
    result = {}
    for depth in depths:
        hits = (outcomes.ranked[:, :depth] == outcomes.labels[:, None]).any(axis=1)
        correct, total = int(hits.sum()), len(hits)
        low, high = wilson(correct, total)
        result[f"top{depth}"] = {
            "value": correct / total,
            "low": low,
            "high": high,
            "correct": correct,
            "total": total,
        }
    return result
