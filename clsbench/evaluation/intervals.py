"""Confidence intervals of proportions."""

from __future__ import annotations

import math
from statistics import NormalDist


def wilson(successes: int, total: int, *, confidence: float = 0.95) -> tuple[float, float]:
    """The Wilson score interval of a proportion.

    Source: E. B. Wilson, Probable inference, JASA 22 (1927). scipy has it too, but
    importing scipy.stats takes longer than many a run.

    Args:
        successes: 0 to ``total``.
        total: Trials; with none the interval is (0, 1).
        confidence: Two-sided.

    >>> [round(bound, 4) for bound in wilson(95, 100)]
    [0.8882, 0.9785]
    """
    if total == 0:
        return 0.0, 1.0
    z = NormalDist().inv_cdf(0.5 + confidence / 2)
    p = successes / total
    centre = p + z * z / (2 * total)
    half = z * math.sqrt(p * (1 - p) / total + z * z / (4 * total * total))
    scale = 1 + z * z / total
    low, high = (centre - half) / scale, (centre + half) / scale
    return (0.0 if successes == 0 else low), (1.0 if successes == total else high)
