"""The averages and scores: each with what it means, or with the reason why it is not there."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from clsbench.evaluation.absence import reason_of
from clsbench.evaluation.report.formats import figure, fixed, name, number, percent
from clsbench.evaluation.report.found import METRIC_OF, find

#: Key, name, how it is written and what it means.
SCORES = (
    ("balanced_accuracy", "Balanced accuracy", percent, "mean recall: every class counts the same"),
    ("roc_auc", "ROC-AUC", fixed, "how well a class's probability tells it from the rest; 0.5 is chance, 1 perfect"),
    ("log_loss", "Log loss", figure, "mean of −ln p of the true class; 0 is perfect"),
    ("brier", "Brier score", figure, "squared error of all probabilities, 0 to 2; 0 is perfect"),
    ("ece", "Calibration error (ECE)", figure, "how far confidence and accuracy are apart on average; 0 is perfect"),
)


@dataclass(frozen=True)
class Score:
    """One measure.

    Args:
        name: For people.
        text: Its value as written; None where it is not there.
        reason: Why it is not there.
        meaning: In a few words.
    """

    name: str
    text: str | None
    reason: str | None
    meaning: str


def scores(facts: Mapping[str, Any]) -> list[Score]:
    """The measures that are one number, and then those of plugins."""
    rows = []
    for key, title, written, meaning in SCORES:
        found = find(facts, key)
        rows.append(Score(title, written(found.value) if found.there else None, found.reason, meaning))
    return [*rows, *_others(facts)]


def accuracies(facts: Mapping[str, Any]) -> list[tuple[str, Mapping[str, Any]]]:
    """Name and value of ``top1``, ``top5`` and whatever has the same shape."""
    return [(_title(key), value) for key, value in facts["metrics"].items() if _is_accuracy(value)]


def means(facts: Mapping[str, Any]) -> list[tuple[str, str, Mapping[str, float]]]:
    """Name, meaning, and precision, recall and f1 of the averages that are there."""
    rows = [("macro", "Macro", "every class counts the same"), ("weighted", "Weighted", "by number of images")]
    return [(title, meaning, find(facts, key).value) for key, title, meaning in rows if find(facts, key).there]


def _others(facts: Mapping[str, Any]) -> list[Score]:
    """What no built-in metric gives."""
    metrics: Mapping[str, Any] = facts["metrics"]
    return [
        Score(name(key), *_written(value), "from a plugin")
        for key, value in metrics.items()
        if key not in METRIC_OF and not _is_accuracy(value)
    ]


def _written(value: Any) -> tuple[str | None, str | None]:
    """A value of unknown kind as text, or why it is not written."""
    single = number(value)
    if single is not None:
        return figure(single), None
    if isinstance(value, str | bool):
        return name(value), None
    return None, reason_of(value) or "more than one number: see evaluate --json"


def _is_accuracy(value: Any) -> bool:
    shape = ("value", "low", "high", "correct", "total")
    return isinstance(value, Mapping) and all(number(value.get(key)) is not None for key in shape)


def _title(key: str) -> str:
    return f"Top-{key[3:]}" if key.startswith("top") and key[3:].isdigit() else name(key)
