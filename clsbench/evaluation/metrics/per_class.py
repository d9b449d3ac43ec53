"""The ``per-class`` metric: precision, recall, F1 and support of each class."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np

from clsbench.predictions.metric import REPORT, Column, Row, Shown, ShownMetric
from clsbench.predictions.outcomes import Outcomes
from clsbench.predictions.values import Value, wilson

#: With more classes than this, ``evaluate`` shows the worst and the best of them, and ``infer`` the worst.
SHOWN_CLASSES, WORST, BEST = 20, 10, 5


@dataclass(frozen=True)
class ClassScores(Value):
    """scikit-learn's scores of a class, 0 where nothing defines them; its images (``support``).

    ``recall_low`` and ``recall_high`` are the 95% Wilson interval of the recall, 0 and 1 without images.
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
        return {key: value for key, value in super().to_json().items() if key != "name"}


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
        return self._means(None)

    @cached_property
    def weighted(self) -> Averages:
        """The means by number of images."""
        return self._means([row.support for row in self.present])

    def _means(self, weights: list[int] | None) -> Averages:
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


def _by_f1(found: PerClass) -> Iterator[Row]:
    """Worst F1 first; of many classes the worst and the best."""
    rows = sorted(found.present, key=lambda row: row.f1)
    many = len(rows) > SHOWN_CLASSES
    for row in [*rows[:WORST], None, *rows[-BEST:]] if many else rows:
        if row is None:
            yield ("…", "", "", "", "", "")
            continue
        interval = f"{row.recall_low:.3f} – {row.recall_high:.3f}"
        yield (row.name, row.precision, row.recall, interval, row.f1, row.support)
    yield ("macro mean", found.macro.precision, found.macro.recall, "", found.macro.f1, "")


def _in_order(found: PerClass) -> Iterator[Row]:
    """In class order; of many classes the worst."""
    many = len(found.present) > SHOWN_CLASSES
    for row in sorted(found.present, key=lambda row: row.f1)[:SHOWN_CLASSES] if many else found.present:
        yield (row.name, row.precision, row.recall, row.f1, row.support)
    yield ("macro mean", found.macro.precision, found.macro.recall, found.macro.f1, "")


def _heading(few: str, many: str) -> Callable[[PerClass], str]:
    return lambda found: few if len(found.present) <= SHOWN_CLASSES else many.format(len(found.present))


_CLASS, _PRECISION, _RECALL, _F1 = Column("class", width=22), *(Column(n, ".3f") for n in ("precision", "recall", "F1"))

SHOWN = (
    Shown(
        "per_class", "table", "Per class", places=("evaluate",), rows=_by_f1,
        columns=(_CLASS, _PRECISION, _RECALL, Column("95% interval"), _F1, Column("support", ",")),
        heading=_heading(
            "Per class, worst F1 first",
            f"Per class: the {WORST} worst and {BEST} best of {{}} by F1 (all: --json, --html)",
        ),
    ),
    Shown(
        "per_class", "table", "Per class", places=("infer",), rows=_in_order,
        columns=(_CLASS, _PRECISION, _RECALL, _F1, Column("support", ",")),
        heading=_heading("Per class", f"Per class: the {SHOWN_CLASSES} worst of {{}} by F1 (all: --json)"),
    ),
    Shown("macro", "section", "Macro", "every class counts the same", places=REPORT),
)  # fmt: skip
