"""How a network does on images under one candidate transform, image by image, and against another one.

With labels the criterion is accuracy, and log loss where accuracies are equal. Without, it is the mean probability
of the best class: only a hint, for a network can be sure and wrong.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from clsbench.evaluation.comparison.paired import LEVEL, bootstrap_interval, count_flips, mcnemar

Floats = NDArray[np.float64]

#: Probabilities are clipped to this before their logarithm, as those of ``evaluate``: a zero costs 36.04 nats.
_SMALLEST = float(np.finfo(np.float64).eps)

#: Standard errors to either side of a mean's 95 % interval.
_Z = 1.96


@dataclass(frozen=True)
class ImageScores:
    """Of N images, under one transform.

    Args:
        hits: bool (N,), whether the best class is the label; None without labels.
        losses: float64 (N,), -ln p(label) in nats; None without labels.
        confidences: float64 (N,), the probability of the best class.
        entropies: float64 (N,), of the probabilities, nats.
    """

    hits: NDArray[np.bool_] | None
    losses: Floats | None
    confidences: Floats
    entropies: Floats

    def __len__(self) -> int:
        return len(self.confidences)

    def first(self, count: int) -> ImageScores:
        """Of the first images only."""
        hits, losses = (None if part is None else part[:count] for part in (self.hits, self.losses))
        return ImageScores(hits, losses, self.confidences[:count], self.entropies[:count])  # type: ignore[arg-type]


def score(logits: NDArray[np.floating], labels: NDArray[np.int64] | None) -> ImageScores:
    """Judge logits; an image with one that is not finite is wrong, and nothing is known of it.

    Args:
        logits: float (N, K).
        labels: int64 (N,), 0 to K - 1, or None.
    """
    values = logits.astype(np.float64)
    finite = np.isfinite(values).all(axis=1)
    values[~finite] = 0.0  # the same probability for every class
    values -= values.max(axis=1, keepdims=True)
    logs = np.maximum(values - np.log(np.exp(values).sum(axis=1, keepdims=True)), np.log(_SMALLEST))
    confidences, entropies = np.exp(logs.max(axis=1)), -(np.exp(logs) * logs).sum(axis=1)
    if labels is None:
        return ImageScores(None, None, confidences, entropies)
    hits = (values.argmax(axis=1) == labels) & finite
    return ImageScores(hits, -logs[np.arange(len(labels)), labels], confidences, entropies)


def joined(parts: Sequence[ImageScores]) -> ImageScores:
    """Scores of parts of the images as one, in order."""
    fields = [[getattr(part, name) for part in parts] for name in ("hits", "losses", "confidences", "entropies")]
    return ImageScores(*(None if field[0] is None else np.concatenate(field) for field in fields))  # type: ignore[arg-type]


@dataclass(frozen=True)
class Difference:
    """A candidate's criterion minus that of the best, and its 95 % paired interval; fractions."""

    value: float
    low: float
    high: float


def place(scores: ImageScores) -> tuple[float, ...]:
    """By what candidates are sorted, the best first."""
    if scores.hits is None or scores.losses is None:
        return (-float(scores.confidences.mean()),)
    return (-int(np.count_nonzero(scores.hits)), float(scores.losses.mean()))


def level(comparisons: int) -> float:
    """The level of each test against the best, so that all of them hold together at 5 %.

    The set of the candidates that are not shown to be worse than the observed best holds the true best with 95 %
    certainty: that is left out only if one of its M - 1 tests against the others, each at 5 % / (M - 1), is wrong,
    whichever of them is observed to be the best. With L looks at the data while it comes in there are L (M - 1).
    Source: Bonferroni's inequality; J. C. Hsu, Multiple Comparisons: Theory and Methods (1996), chapter 4, on
    comparisons with the best. Holm's step-down rule would need the best to be known before the data.
    """
    return LEVEL / max(1, comparisons)


def p_worse(best: ImageScores, other: ImageScores) -> float:
    """The two-sided p value of ``other`` against ``best`` on the images that both have; 1 where it is not worse.

    Exact McNemar for labelled images; a paired z test of the confidences for others.
    """
    best = best.first(len(other))
    if best.hits is not None and other.hits is not None:
        flips = count_flips(best.hits, other.hits)
        return float(mcnemar(flips.lost, flips.gained)) if flips.lost > flips.gained else 1.0
    from scipy.special import ndtr

    mean, error = _mean_and_error(best, other)
    if mean >= 0:
        return 1.0
    return float(2 * ndtr(mean / error)) if error else 0.0


def difference(best: ImageScores, other: ImageScores) -> Difference:
    """Of ``other`` to ``best``, on the images that both have."""
    best = best.first(len(other))
    if best.hits is not None and other.hits is not None:
        flips = count_flips(best.hits, other.hits)
        return Difference(flips.difference, *bootstrap_interval(flips))
    mean, error = _mean_and_error(best, other)
    return Difference(mean, max(-1.0, mean - _Z * error), min(1.0, mean + _Z * error))


def _mean_and_error(best: ImageScores, other: ImageScores) -> tuple[float, float]:
    """Mean difference of the confidences, and its standard error."""
    differences = other.confidences - best.confidences
    count = len(differences)
    return float(differences.mean()), float(differences.std(ddof=1)) / math.sqrt(count) if count > 1 else math.inf
