"""The rows of the per-class table."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from clsbench.evaluation.report.confusions import cells_of, mistakes
from clsbench.evaluation.report.formats import name
from clsbench.evaluation.report.found import find

#: With more classes than this the table holds the worst.
SHOWN = 2000


@dataclass(frozen=True)
class ClassRow:
    """A class; None where a number is not defined.

    Args:
        index: Into the classes.
        name: As shown.
        support: Labelled images.
        precision: Of the images predicted as it, those that are.
        recall: Of its images, those that were found.
        low: Of the recall, 95 % Wilson interval.
        high: Of the recall.
        f1: Harmonic mean of precision and recall.
        auc: Area under the ROC curve.
        taken_for: Index, name and count of what it is taken for most often.
    """

    index: int
    name: str
    support: int
    precision: float | None
    recall: float | None
    low: float | None
    high: float | None
    f1: float | None
    auc: float | None
    taken_for: tuple[int, str, int] | None


@dataclass(frozen=True)
class ClassTable:
    """The rows, worst first, how many are left out, and whether there are areas under the curve."""

    rows: tuple[ClassRow, ...]
    left_out: int
    has_auc: bool


def class_table(facts: Mapping[str, Any]) -> ClassTable:
    """The per-class table: by F1, worst first; classes without images at the end.

    Args:
        facts: With ``per_class``.
    """
    areas = find(facts, "roc_auc_per_class")
    mistaken = _most_frequent_mistakes(facts)
    index = {title: k for k, title in enumerate(facts["classes"])}
    rows = []
    for title, row in find(facts, "per_class").value.items():
        known, k = row["support"] > 0, index[title]
        precision, recall, f1 = (row[key] if known else None for key in ("precision", "recall", "f1"))
        low, high = (row[key] if known else None for key in ("recall_low", "recall_high"))
        auc = areas.value.get(title) if areas.there else None
        taken_for = mistaken.get(k)
        rows.append(ClassRow(k, name(title), row["support"], precision, recall, low, high, f1, auc, taken_for))
    rows.sort(key=lambda row: (row.f1 is None, row.f1, row.index))
    return ClassTable(tuple(rows[:SHOWN]), max(0, len(rows) - SHOWN), areas.there)


def _most_frequent_mistakes(facts: Mapping[str, Any]) -> dict[int, tuple[int, str, int]]:
    found = find(facts, "confusion")
    if not found.there:
        return {}
    first: dict[int, tuple[int, str, int]] = {}
    for label, predicted, times in mistakes(cells_of(found.value)).tolist():
        if label not in first:
            first[label] = (predicted, name(facts["classes"][predicted]), times)
    return first
