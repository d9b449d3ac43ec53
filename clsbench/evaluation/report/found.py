"""Looking values up in the facts: there, or not with a reason."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from clsbench.evaluation.absence import reason_of

#: Which built-in metric gives a value.
METRIC_OF = {
    "top1": "accuracy",
    "balanced_accuracy": "averages",
    "macro": "averages",
    "weighted": "averages",
    "log_loss": "probability",
    "brier": "probability",
    "ece": "probability",
    "reliability": "probability",
    "roc_auc": "roc-auc",
    "roc_auc_per_class": "roc-auc",
    "coverage": "coverage",
    "coverage_for_accuracy": "coverage",
    "per_class": "per-class",
    "confusion": "confusion",
    "confused_pairs": "confusion",
    "top_losses": "top-losses",
    "label_errors": "label-errors",
}


@dataclass(frozen=True)
class Found:
    """A value of the facts.

    Args:
        value: None where it is not there.
        reason: Why it is not there; None where it is.
    """

    value: Any
    reason: str | None = None

    @property
    def there(self) -> bool:
        """Whether there is a value."""
        return self.reason is None


def find(facts: Mapping[str, Any], key: str) -> Found:
    """A value that a built-in metric gives.

    Args:
        facts: From :func:`clsbench.evaluation.judging.evaluate`.
        key: One of :data:`METRIC_OF`.

    >>> find({"metrics": {"ece": {"reason": "no confidences"}}}, "ece")
    Found(value=None, reason='no confidences')
    >>> find({"metrics": {}}, "ece").reason
    'the metric probability was not asked for'
    """
    metric = METRIC_OF[key]
    if key in facts["metrics"]:
        value = facts["metrics"][key]
        reason = reason_of(value)
        return Found(value) if reason is None else Found(None, reason)
    error = facts.get("metric_errors", {}).get(metric)
    return Found(None, f"the metric {metric} failed: {error}" if error else f"the metric {metric} was not asked for")
