"""Equivalence of two models judged on the same images: is B as good as A, within a margin?

Showing no difference is not showing that there is none. Here the claim to be
proved is that the difference is small: two one-sided tests (TOST; D. J. Schuirmann, Journal
of Pharmacokinetics and Biopharmaceutics 15, 1987) must refute that B is worse by the margin
or more, and that it is better by the margin or more. The first alone is non-inferiority.
"""

from __future__ import annotations

import math
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from clsbench.errors import OptionError
from clsbench.evaluation.comparison.paired import LEVEL, Flips

#: Points; what `compare` asks for if nothing else is said.
MARGIN = 0.5


@dataclass(frozen=True)
class Equivalence:
    """What can be said of a difference against a margin.

    Args:
        margin: Points of accuracy.
        p_not_worse: One-sided p value against "B is worse by the margin or more".
        p_not_better: One-sided p value against "B is better by the margin or more".
        smallest_margin: Points: the least margin at which equivalence would be shown;
            None where that takes 100 points or more.
    """

    margin: float
    p_not_worse: float
    p_not_better: float
    smallest_margin: float | None

    @property
    def p_value(self) -> float:
        """Of both tests together: the larger."""
        return max(self.p_not_worse, self.p_not_better)

    @property
    def equivalent(self) -> bool:
        """Whether the difference is shown to be smaller than the margin, either way."""
        return self.p_value < LEVEL

    @property
    def not_worse(self) -> bool:
        """Whether B is shown to be worse by less than the margin, if at all (non-inferiority)."""
        return self.p_not_worse < LEVEL

    def to_json(self) -> dict[str, Any]:
        """Plain values; margins in points."""
        return asdict(self) | {"p": self.p_value, "equivalent": self.equivalent, "not_worse": self.not_worse}


def equivalence(flips: Flips, margin: float = MARGIN) -> Equivalence:
    """Test two models for equivalence at a margin.

    Args:
        flips: Of at least one image.
        margin: Points, between 0 and 100; choose it before looking.

    Raises:
        OptionError: if the margin is not between 0 and 100 points.
    """
    if not 0 < margin < 100:
        raise OptionError(
            "the margin is not a difference of accuracies", where="margin", got=margin, expected="0 < points < 100"
        )
    return Equivalence(margin, *one_sided(flips, margin / 100), smallest_margin(flips))


def one_sided(flips: Flips, margin: float) -> tuple[float, float]:
    """The p values of both one-sided tests, B not worse and B not better by a margin.

    Args:
        flips: Of at least one image.
        margin: A fraction, between 0 and 1.
    """
    not_worse = score(flips.gained, flips.lost, flips.total, margin)
    not_better = score(flips.lost, flips.gained, flips.total, margin)
    return _tail(float(not_worse)), _tail(float(not_better))


def smallest_margin(flips: Flips) -> float | None:
    """The least margin, in points, at which a pair of models is shown equivalent.

    The larger end, in size, of the 90% interval that belongs to the tests.
    """
    low, high = 0.0, 1 - 1e-9
    if max(one_sided(flips, high)) >= LEVEL:
        return None
    while high - low > 1e-12:
        middle = (low + high) / 2
        low, high = (low, middle) if max(one_sided(flips, middle)) < LEVEL else (middle, high)
    return 100 * high


def score(lost: ArrayLike, gained: ArrayLike, total: int, margin: float) -> NDArray[np.float64]:
    """The score statistic of a gain against a margin, standard normal where the gain is the margin.

    Source: T. Tango, Statistics in Medicine 17 (1998); recommended for the purpose by
    J. P. Liu, H. M. Hsueh, E. Hsieh and J. J. Chen, Statistics in Medicine 21 (2002). As
    counts are whole, half a flip is taken from the evidence: without that the test errs
    in up to 6.8% of cases instead of 5% where all flips go one way, with it in at most
    5%, from 200 to 100,000 images and margins to 5 points (benchmarks/comparison.py).

    Args:
        lost: int (...), flips from right to wrong.
        gained: int (...), flips from wrong to right.
        total: Images.
        margin: A fraction, between 0 and 1.

    Returns:
        float64 (...): very negative where the gain is surely less than the margin.
    """
    surplus = np.subtract(gained, lost) - total * margin
    return np.asarray((surplus + 0.5) / deviation(lost, gained, total, margin))


def deviation(lost: ArrayLike, gained: ArrayLike, total: int, margin: float) -> NDArray[np.float64]:
    """The standard deviation of gained − lost where the true gain is the margin.

    With q the probability of a loss it is √(N (2q + m (1 − m))), and q is estimated by its
    maximum likelihood under that restriction, a quadratic equation (Tango 1998).

    Args:
        lost: int (...), flips from right to wrong.
        gained: int (...), flips from wrong to right.
        total: N images.
        margin: m, a fraction between 0 and 1.

    Returns:
        float64 (...), in images.
    """
    losses, flips = np.asarray(lost, np.float64), np.add(lost, gained, dtype=np.float64)
    linear = (2 * total + 2 * losses - flips) * margin - flips
    root = np.sqrt(linear**2 + 8 * total * losses * margin * (1 - margin))
    q = (root - linear) / (4 * total)
    return np.asarray(np.sqrt(total * (2 * q + margin * (1 - margin))))


def _tail(z: float) -> float:
    """The standard normal distribution function, exact far out."""
    return math.erfc(-z / math.sqrt(2)) / 2
