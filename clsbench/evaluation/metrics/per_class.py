"""The ``per-class`` metric: precision, recall, F1 and support of each class."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np

from clsbench.predictions.metric import Column, Row, Shown, ShownMetric
from clsbench.predictions.outcomes import Outcomes
from clsbench.predictions.values import Value, wilson

#: With more classes than this, ``evaluate`` shows the worst and the best of them, and ``infer`` the worst.
SHOWN_CLASSES, WORST, BEST = 20, 10, 5


@dataclass(frozen=True)
class ClassScores(Value):
    """scikit-learn's precision, recall and F1 of a class; 0 where nothing defines them.

    Args:
        name: The class.
        precision: Of the images predicted as it, the fraction that are.
        recall: Of its images, the fraction predicted as it.
        f1: The harmonic mean of both.
        support: Its images.
        recall_low: Lower end of the 95 % Wilson interval of the recall; 0 without images.
        recall_high: Upper end; 1 without images.
    """

    name: str
    precision: float
    recall: float
    f1: float
    support: int
    recall_low: float
    recall_high: float

    def to_json(self) -> Any:
        """Without the name, which is the key."""
        values = super().to_json()
        del values["name"]
        return values


@dataclass(frozen=True)
class Averages(Value):
    """Means over the classes, fractions."""

    precision: float
    recall: float
    f1: float


@dataclass(frozen=True)
class PerClass(Value):
    """The scores of every class, in class order."""

    classes: tuple[ClassScores, ...]

    @cached_property
    def present(self) -> tuple[ClassScores, ...]:
        """The classes that have images."""
        return tuple(row for row in self.classes if row.support)

    @cached_property
    def macro(self) -> Averages:
        """The plain means over the classes that have images."""
        return self.means(None)

    @cached_property
    def weighted(self) -> Averages:
        """The means by number of images."""
        return self.means([row.support for row in self.present])

    def means(self, weights: list[int] | None) -> Averages:
        """The means over the classes that have images."""
        columns = ([getattr(row, name) for row in self.present] for name in ("precision", "recall", "f1"))
        return Averages(*(float(np.average(column, weights=weights)) for column in columns))

    def to_json(self) -> Any:
        """By class name."""
        return {row.name: row.to_json() for row in self.classes}


def build() -> ShownMetric:
    """The metric; see :func:`per_class`."""
    return ShownMetric(per_class, SHOWN)


def per_class(outcomes: Outcomes) -> dict[str, Value]:
    """Scores of each class, and their means.

    Returns:
        ``per_class``: :class:`PerClass`. ``macro``: :class:`Averages` over the classes that have images.
    """
    from sklearn.metrics import precision_recall_fscore_support

    count = len(outcomes.classes)
    labels, predicted, times = outcomes.pairs
    scores = precision_recall_fscore_support(
        labels, predicted, labels=np.arange(count), sample_weight=times, zero_division=0
    )
    hits = np.zeros(count, np.int64)
    hits[labels[labels == predicted]] = times[labels == predicted]
    rows = zip(outcomes.classes, *(column.tolist() for column in scores), hits.tolist(), strict=True)
    found = PerClass(
        tuple(
            ClassScores(name, precision, recall, f1, int(support), *wilson(right, int(support)))
            for name, precision, recall, f1, support, right in rows
        )
    )
    return {"per_class": found, "macro": found.macro}


def _evaluate_rows(found: PerClass) -> Iterator[Row]:
    """Worst F1 first; of many classes the worst and the best."""
    rows = sorted(found.present, key=lambda row: row.f1)
    many = len(rows) > SHOWN_CLASSES
    for row in rows[:WORST] if many else rows:
        yield _evaluate_row(row)
    if many:
        yield ("…", "", "", "", "", "")
        yield from map(_evaluate_row, rows[-BEST:])
    yield ("macro mean", found.macro.precision, found.macro.recall, "", found.macro.f1, "")


def _evaluate_row(row: ClassScores) -> Row:
    interval = f"{row.recall_low:.3f} – {row.recall_high:.3f}"
    return (row.name, row.precision, row.recall, interval, row.f1, row.support)


def _evaluate_heading(found: PerClass) -> str:
    if len(found.present) <= SHOWN_CLASSES:
        return "Per class, worst F1 first"
    return f"Per class: the {WORST} worst and {BEST} best of {len(found.present)} by F1 (all: --json, --html)"


def _infer_rows(found: PerClass) -> Iterator[Row]:
    """In class order; of many classes the worst."""
    rows: list[ClassScores] | tuple[ClassScores, ...] = found.present
    if len(rows) > SHOWN_CLASSES:
        rows = sorted(rows, key=lambda row: row.f1)[:SHOWN_CLASSES]
    for row in rows:
        yield (row.name, row.precision, row.recall, row.f1, row.support)
    yield ("macro mean", found.macro.precision, found.macro.recall, found.macro.f1, "")


def _infer_heading(found: PerClass) -> str:
    few = len(found.present) <= SHOWN_CLASSES
    return "Per class" if few else f"Per class: the {SHOWN_CLASSES} worst by F1; all of them in the JSON"


_NAME, _PRECISION, _RECALL, _F1 = Column("class", width=22), *(Column(t, ".3f") for t in ("precision", "recall", "F1"))

SHOWN = (
    Shown(
        "per_class",
        "table",
        "Per class",
        columns=(_NAME, _PRECISION, _RECALL, Column("95 % interval"), _F1, Column("support")),
        rows=_evaluate_rows,
        heading=_evaluate_heading,
        places=("evaluate",),
    ),
    Shown(
        "per_class",
        "table",
        "Per class",
        columns=(_NAME, _PRECISION, _RECALL, _F1, Column("support")),
        rows=_infer_rows,
        heading=_infer_heading,
        places=("infer",),
    ),
    Shown("macro", "section", "Macro", "every class counts the same", places=("report",)),
)
