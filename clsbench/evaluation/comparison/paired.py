"""Statistics of two models judged on the same N images: flips, McNemar, bootstrap, Holm, kappa.

Only the images that one model has right and the other wrong (the flips) say which of the
two is better. Everything here takes the images to be independent: frames of one video or
copies of one image make every p value too small and every interval too narrow.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

#: The level of every test, and 1 − the confidence of every interval.
LEVEL = 0.05


@dataclass(frozen=True)
class Flips:
    """How many of N images go from right or wrong in model A to right or wrong in model B.

    Args:
        both_right: Images that both have right.
        lost: Right in A, wrong in B.
        gained: Wrong in A, right in B.
        both_wrong: Images that neither has right.
    """

    both_right: int
    lost: int
    gained: int
    both_wrong: int

    @property
    def total(self) -> int:
        """N, the images judged."""
        return self.both_right + self.lost + self.gained + self.both_wrong

    @property
    def difference(self) -> float:
        """Accuracy of B minus that of A, a fraction in [-1, 1]."""
        return (self.gained - self.lost) / self.total


def count_flips(right_a: NDArray[np.bool_], right_b: NDArray[np.bool_]) -> Flips:
    """Compare two columns of right and wrong.

    Args:
        right_a: bool (N,), which images model A has right.
        right_b: bool (N,), the same images in the same order for model B.
    """
    both = int(np.count_nonzero(right_a & right_b))
    lost, gained = int(np.count_nonzero(right_a)) - both, int(np.count_nonzero(right_b)) - both
    return Flips(both, lost, gained, len(right_a) - both - lost - gained)


def mcnemar(lost: ArrayLike, gained: ArrayLike) -> NDArray[np.float64]:
    """The exact two-sided p value that flips go either way equally often.

    Source: Q. McNemar, Psychometrika 12 (1947), in its exact form: given their number,
    flips to one side are binomial with probability ½. scipy.stats.binomtest and
    statsmodels' mcnemar do the same for one pair of counts; this takes all classes at once.

    Args:
        lost: int (...), flips from right to wrong.
        gained: int (...), flips from wrong to right.

    Returns:
        float64 (...); 1 where nothing flips.

    >>> round(float(mcnemar(3, 12)), 4)
    0.0352
    """
    from scipy.special import betainc

    fewer, more = np.minimum(lost, gained), np.maximum(lost, gained)
    # The binomial distribution function at `fewer`, by the incomplete beta function.
    return np.asarray(np.minimum(1.0, 2 * betainc(np.asarray(more, np.float64), fewer + 1.0, 0.5)))


def holm(p_values: ArrayLike) -> NDArray[np.float64]:
    """Adjust p values for their number, so that all claims at a level hold together at that level.

    Source: S. Holm, A simple sequentially rejective multiple test procedure, Scandinavian
    Journal of Statistics 6 (1979). It holds however the tests depend on each other.

    Args:
        p_values: float (M,).

    Returns:
        float64 (M,), in the order given.

    >>> holm([0.01, 0.04, 0.03]).tolist()
    [0.03, 0.06, 0.06]
    """
    values = np.asarray(p_values, np.float64)
    order = np.argsort(values, kind="stable")
    steps = values[order] * np.arange(values.size, 0, -1)
    adjusted = np.empty_like(values)
    adjusted[order] = np.minimum(1.0, np.maximum.accumulate(steps))
    return adjusted


def bootstrap_interval(
    flips: Flips, *, confidence: float = 1 - LEVEL, resamples: int = 10_000, seed: int = 0
) -> tuple[float, float]:
    """The paired bootstrap's percentile interval of the accuracy difference.

    Source: B. Efron and R. Tibshirani, An Introduction to the Bootstrap (1993), chapter 13.
    A pair contributes -1, 0 or +1, so that redrawing N pairs is one multinomial draw of
    the three counts, whatever N is. One flip each way is added to the counts, as in
    the interval of D. G. Bonett and R. M. Price, Journal of Educational and Behavioral
    Statistics 37 (2012): the plain bootstrap of few flips is far too narrow, and of none
    it has no width at all (benchmarks/comparison.py).

    Args:
        flips: Of at least one image.
        confidence: Two-sided.
        resamples: How many times the N pairs are redrawn.
        seed: Of the redrawing; the same seed gives the same interval.

    Returns:
        Low and high, fractions in [-1, 1].
    """
    # Drawn with the more frequent flips last, so that B minus A is exactly the reverse of A minus B.
    fewer, more = sorted((flips.lost, flips.gained))
    counts = np.array([fewer + 1, flips.total - fewer - more, more + 1])
    drawn = np.random.default_rng(seed).multinomial(flips.total, counts / counts.sum(), size=resamples)
    tail = (1 - confidence) / 2
    low, high = np.quantile(drawn[:, 2] - drawn[:, 0], [tail, 1 - tail]) / flips.total
    return (float(low), float(high)) if flips.lost <= flips.gained else (0.0 - float(high), 0.0 - float(low))


def kappa(predicted_a: NDArray[np.integer[Any]], predicted_b: NDArray[np.integer[Any]]) -> float | None:
    """Cohen's kappa: how far two models agree beyond what their class frequencies bring about.

    Source: J. Cohen, Educational and Psychological Measurement 20 (1960). It is
    sklearn.metrics.cohen_kappa_score, without two seconds of import.

    Args:
        predicted_a: int (N,), classes from 0 on, -1 where there is no answer.
        predicted_b: int (N,), the same images in the same order.

    Returns:
        At most 1; None where it is not defined: both always give the same one class.
    """
    size = 2 + int(max(predicted_a.max(), predicted_b.max()))
    share_a, share_b = (
        np.bincount(np.add(p, 1, dtype=np.int64), minlength=size) / p.size for p in (predicted_a, predicted_b)
    )
    observed, expected = float(np.mean(predicted_a == predicted_b)), float(share_a @ share_b)
    if expected == 1:
        return None
    return (observed - expected) / (1 - expected)
