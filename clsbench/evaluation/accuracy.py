"""The ``accuracy`` metric: top-1, and top-5 where there are more than five classes."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from clsbench.evaluation.intervals import wilson
from clsbench.predictions import Outcomes


def build() -> Callable[[Outcomes], dict[str, Any]]:
    """The metric; see :func:`accuracy`."""
    return accuracy


def accuracy(outcomes: Outcomes) -> dict[str, Any]:
    """Top-1 and top-5 accuracy, each with its 95 % Wilson interval.

    Returns:
        ``top1`` and ``top5``: value, low, high (fractions), correct and total (counts).
    """
    depths = {"top1": 1} | ({"top5": 5} if len(outcomes.classes) > 5 else {})
    result = {}
    for name, depth in depths.items():
        hits = (outcomes.ranked[:, :depth] == outcomes.labels[:, None]).any(axis=1)
        correct, total = int(hits.sum()), len(hits)
        low, high = wilson(correct, total)
        result[name] = {
            "value": correct / total,
            "low": low,
            "high": high,
            "correct": correct,
            "total": total,
        }
    return result
