"""The ``probability`` metric: how good the probabilities are, not only the best class."""

from __future__ import annotations

from functools import partial

import numpy as np

from clsbench.errors import OptionError
from clsbench.evaluation.metrics.calibration import Reliability, reliability
from clsbench.predictions.metric import NO_PROBABILITIES, REPORT, TERMINAL, Shown, ShownMetric
from clsbench.predictions.outcomes import Outcomes
from clsbench.predictions.spill import parts
from clsbench.predictions.values import Absent
from clsbench.text import counted


def build(*, bins: int | None = None) -> ShownMetric:
    """The metric; see :func:`probability`.

    Raises:
        OptionError: without a bin.
    """
    if bins is not None and bins < 1:
        raise OptionError("calibration needs at least one bin", where="bins", got=bins)
    return ShownMetric(partial(probability, bins=bins), SHOWN)


def probability(outcomes: Outcomes, *, bins: int | None = None) -> dict[str, float | Absent | Reliability]:
    """Log loss, Brier score, expected calibration error, and the bins of a reliability diagram.

    Returns:
        ``log_loss``, ``brier``, ``ece``, and ``reliability``:
        :class:`clsbench.evaluation.metrics.calibration.Reliability`.
    """
    without_label, without = (int(np.isnan(c).sum()) for c in (outcomes.label_confidence, outcomes.confidence))
    no_label = Absent(f"the probability of the true class is not known for {counted(without_label, 'image')}")
    result: dict[str, float | Absent | Reliability] = {
        "log_loss": no_label if without_label else log_loss(outcomes),
        "brier": NO_PROBABILITIES if outcomes.probabilities is None else brier(outcomes),
    }
    if without:
        absent = Absent(f"the confidence is not known for {counted(without, 'image')}")
        return result | {"ece": absent, "reliability": absent}
    found = reliability(outcomes.confidence, outcomes.predicted == outcomes.labels, bins=bins)
    return result | {"ece": found.ece, "reliability": found}


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


SHOWN = (
    Shown("log_loss", "score", "log loss (nats)", format=".4f", places=TERMINAL),
    Shown("brier", "score", "Brier score (0 to 2)", format=".4f", places=TERMINAL),
    Shown("ece", "score", "calibration error (ECE)", format=".4f", places=TERMINAL),
    Shown("log_loss", "score", "Log loss", "mean of −ln p of the true class; 0 is perfect", places=REPORT),
    Shown("brier", "score", "Brier score", "squared error of all probabilities, 0 to 2; 0 is perfect", places=REPORT),
    Shown(
        "ece", "score", "Calibration error (ECE)", places=REPORT,
        meaning="how far confidence and accuracy are apart on average; 0 is perfect",
    ),
    Shown("reliability", "section", "Reliability", places=REPORT),
)  # fmt: skip
