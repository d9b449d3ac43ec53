"""The threshold below which a prediction is no decision: chosen for a precision, judged on held-out folds."""

from __future__ import annotations

import math

import numpy as np
from numpy.typing import NDArray

from clsbench.confidence import Abstention
from clsbench.errors import DataError
from clsbench.evaluation.metrics.coverage import borders, reach
from clsbench.exporting.calibration import (
    FOLDS,
    MORE,
    LabelledLogits,
    confidences,
    fold_of,
    held_out_temperatures,
)
from clsbench.predictions.abstaining import as_written
from clsbench.predictions.values import wilson
from clsbench.text import counted

#: The fewest images that a threshold has to keep, whatever the precision.
LEAST = 20


def fewest_kept(target: float) -> int:
    """How many images a threshold has to keep: fewer cannot tell the target from always being right.

    >>> fewest_kept(0.9), fewest_kept(0.99), fewest_kept(0.999)
    (20, 100, 1000)
    """
    return max(LEAST, math.ceil(1 / (1 - target) - 1e-6))


def choose_threshold(
    known: LabelledLogits, target: float, *, temperature: float | None = None, seed: int = 0
) -> tuple[float, Abstention]:
    """The smallest threshold whose images are classified as precisely as the target, and what to expect of it.

    It is an estimate: a threshold that is the best of many on some images keeps somewhat less precise ones on others.
    So the precision and the coverage of the record are those of held-out folds, each judged by temperature and
    threshold of the others (M. Stone, Cross-validatory choice and assessment of statistical predictions, J. Royal
    Statistical Society B 36 (1974)), with Wilson's interval. A guarantee, such as that of Y. Geifman and R. El-Yaniv,
    Selective classification for deep neural networks, NeurIPS (2017), takes several hundred images that are all
    right for a precision of 0.99, which few validation splits have.

    Args:
        known: N images.
        target: The precision, between 0 and 1.
        temperature: That the images were calibrated to; None if they were not.
        seed: Of the folds.

    Returns:
        The threshold, six decimal places, and its record.

    Raises:
        DataError: if no threshold reaches the target; says which precision can be reached.
    """
    right = known.logits.argmax(axis=1) == known.labels
    confidence = as_written(confidences(known.logits, temperature or 1.0))
    below = _threshold(confidence, right, target, fewest_kept(target))
    if below is None:
        raise _unreachable(confidence, right, target)
    fold, kept = fold_of(known.labels, seed=seed), np.zeros(len(known), bool)
    scale = held_out_temperatures(known, temperature, seed=seed) if temperature else np.ones(len(known))
    fewest = math.ceil(fewest_kept(target) * (FOLDS - 1) / FOLDS)
    for k in range(FOLDS):
        held_out = fold == k
        values = as_written(confidences(known.logits, float(scale[held_out][0]))) if temperature else confidence
        chosen = _threshold(values[~held_out], right[~held_out], target, fewest)
        kept[held_out] = values[held_out] >= (math.inf if chosen is None else chosen)
    total, count, correct = len(known), int(kept.sum()), int(right[kept].sum())
    return below, Abstention(
        target=target, images=total, folds=FOLDS, kept=count, correct=correct, unreadable=known.unreadable,
        precision=correct / count if count else None, precision_interval=wilson(correct, count),
        coverage=count / total, coverage_interval=wilson(count, total),
    )  # fmt: skip


def _threshold(confidence: NDArray[np.float64], right: NDArray[np.bool_], target: float, fewest: int) -> float | None:
    """The smallest threshold that reaches the target; None where there is none."""
    order = np.argsort(-confidence, kind="stable")
    falling = confidence[order]
    kept = reach(falling, np.cumsum(right[order]), target)
    return float(falling[kept - 1]) if kept >= fewest else None


def _unreachable(confidence: NDArray[np.float64], right: NDArray[np.bool_], target: float) -> DataError:
    """What can be reached instead."""
    fewest, total = fewest_kept(target), len(right)
    if total < fewest:
        return DataError(
            f"too few labelled images to show a precision of {target:g}", got=counted(total, "image"),
            expected=f"at least {fewest:,}: fewer cannot tell {target:g} from always right", hint=MORE,
        )  # fmt: skip
    order = np.argsort(-confidence, kind="stable")
    falling, sums = confidence[order], np.cumsum(right[order])
    ends = borders(falling)
    ends = ends[ends >= fewest]
    shares = sums[ends - 1] / ends
    best = int(shares.argmax())
    return DataError(
        f"no threshold keeps images of which {target:.6g} are classified correctly", where="--abstain-at-precision",
        got=f"at best {shares[best]:.4f}, of the {ends[best]:,} of {counted(total, 'image')} at or above "
        f"{falling[ends[best] - 1]:.6f}",
        expected=f"a precision of {target:g} among at least {counted(fewest, 'image')}",
        hint=f"ask for a lower precision; or {MORE}",
    )  # fmt: skip
