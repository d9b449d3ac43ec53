"""The rows of the per-class table."""

from __future__ import annotations

from dataclasses import dataclass

from clsbench.evaluation.judging import Evaluation
from clsbench.evaluation.metrics.confusion import Confusion
from clsbench.evaluation.metrics.per_class import ClassScores, PerClass
from clsbench.evaluation.metrics.roc_auc import ClassAreas
from clsbench.evaluation.report.formats import name

#: With more classes than this the table holds the worst.
SHOWN = 2000


@dataclass(frozen=True)
class ClassRow:
    """A class.

    Args:
        index: Into the classes.
        name: As shown.
        scores: Not defined where it has no images.
        auc: Area under the ROC curve; None where it is not defined.
        taken_for: Index, name and count of what it is taken for most often.
    """

    index: int
    name: str
    scores: ClassScores
    auc: float | None
    taken_for: tuple[int, str, int] | None


@dataclass(frozen=True)
class ClassTable:
    """The rows, worst first, how many are left out, and whether there are areas under the curve."""

    rows: tuple[ClassRow, ...]
    left_out: int
    has_auc: bool


def class_table(evaluation: Evaluation, scores: PerClass) -> ClassTable:
    """The per-class table: by F1, worst first, and of equals the one with more images; those without at the end.

    Args:
        evaluation: That the scores come from.
        scores: Of its classes.
    """
    found = evaluation.find("roc_auc_per_class", ClassAreas)
    areas = found.areas if isinstance(found, ClassAreas) else {}
    mistaken = _most_frequent_mistakes(evaluation)
    index = {title: k for k, title in enumerate(evaluation.classes)}
    rows = [
        ClassRow(index[row.name], name(row.name), row, areas.get(row.name), mistaken.get(index[row.name]))
        for row in scores.classes
    ]
    rows.sort(key=lambda row: (not row.scores.support, row.scores.f1, -row.scores.support, row.index))
    return ClassTable(tuple(rows[:SHOWN]), max(0, len(rows) - SHOWN), bool(areas))


def _most_frequent_mistakes(evaluation: Evaluation) -> dict[int, tuple[int, str, int]]:
    found = evaluation.find("confusion", Confusion)
    first: dict[int, tuple[int, str, int]] = {}
    for label, predicted, times in found.mistakes.tolist() if isinstance(found, Confusion) else ():
        if label not in first:
            first[label] = (predicted, name(evaluation.classes[predicted]), times)
    return first
