"""The ``probability`` metric: how good the probabilities are, not only the best class."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import Any

import numpy as np

from clsbench.errors import OptionError
from clsbench.evaluation.absence import NO_PROBABILITIES, absent
from clsbench.evaluation.metrics.calibration import expected_calibration_error, reliability
from clsbench.predictions.outcomes import Outcomes
from clsbench.predictions.spill import parts


def build(*, bins: int = 15) -> Callable[[Outcomes], dict[str, Any]]:
    """The metric; see :func:`probability`.

    Raises:
        OptionError: without a bin.
    """
    if bins < 1:
        raise OptionError("calibration needs at least one bin", where="bins", got=bins)
    return partial(probability, bins=bins)


def probability(outcomes: Outcomes, *, bins: int = 15) -> dict[str, Any]:
    """Log loss, Brier score, expected calibration error, and the bins of a reliability diagram.

    Returns:
        ``log_loss``, ``brier``, ``ece``, and ``reliability`` (see
        :func:`clsbench.evaluation.metrics.calibration.reliability`).
    """
    result: dict[str, Any] = {}
    unknown = int(np.isnan(outcomes.label_confidence).sum())
    if unknown:
        result |= absent(f"the probability of the true class is not known for {unknown} images", "log_loss")
    else:
        result["log_loss"] = log_loss(outcomes)
    result |= absent(NO_PROBABILITIES, "brier") if outcomes.probabilities is None else {"brier": brier(outcomes)}
    unknown = int(np.isnan(outcomes.confidence).sum())
    if unknown:
        return result | absent(f"the confidence is not known for {unknown} images", "ece", "reliability")
    rows = reliability(outcomes.confidence, outcomes.predicted == outcomes.labels, bins=bins)
    return result | {"ece": expected_calibration_error(rows), "reliability": rows}


def log_loss(outcomes: Outcomes) -> float:
    """The mean of -ln p(true class), as scikit-learn's ``log_loss``.

    Probabilities are clipped to float64's epsilon, as there: a zero costs 36.04. scikit-learn's own
    function takes all K probabilities, of which only one counts.
    """
    smallest = np.finfo(np.float64).eps
    known = np.clip(outcomes.label_confidence.astype(np.float64), smallest, 1 - smallest)
    return float(-np.log(known).mean())


def brier(outcomes: Outcomes) -> float:
    """The mean over the images of Σ_k (p_k - y_k)², from 0 to 2 for any number of classes.

    Source: G. W. Brier, Verification of forecasts expressed in terms of probability, Monthly Weather
    Review 78 (1950); scikit-learn's ``brier_score_loss(scale_by_half=False)``. For two classes the
    usual score is half of it.

    Args:
        outcomes: With probabilities.
    """
    assert outcomes.probabilities is not None
    total = 0.0
    for rows, part in parts(outcomes.probabilities.T):
        values = part.astype(np.float64)
        values[outcomes.labels[rows], np.arange(values.shape[1])] -= 1
        total += float(np.einsum("kn,kn->", values, values))
    return total / len(outcomes.labels)
