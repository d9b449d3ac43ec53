"""The ``confusion`` metric: the confusion matrix, and the pairs of classes most often confused."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property, partial
from typing import Any

import numpy as np
from numpy.typing import NDArray

from clsbench.predictions.metric import REPORT, TERMINAL, Column, Shown, ShownMetric
from clsbench.predictions.outcomes import Outcomes
from clsbench.predictions.values import Proportion, Value
from clsbench.text import counted

#: Up to so many classes the matrix is written in full.
DENSE = 50


@dataclass(frozen=True, eq=False)
class Confusion(Value):
    """How often each class was predicted for each other.

    Args:
        classes: K names.
        cells: int64 (P, 3): true class, predicted class and count, for every count above 0.
    """

    classes: tuple[str, ...]
    cells: NDArray[np.int64]

    @classmethod
    def of(cls, outcomes: Outcomes) -> Confusion:
        """Of outcomes."""
        return cls(outcomes.classes, np.stack(outcomes.pairs, axis=1))

    @cached_property
    def matrix(self) -> NDArray[np.int64]:
        """int64 (K, K): a row a true class, a column a predicted one, as scikit-learn's ``confusion_matrix``."""
        matrix = np.zeros((len(self.classes), len(self.classes)), np.int64)
        matrix[self.cells[:, 0], self.cells[:, 1]] = self.cells[:, 2]
        return matrix

    @cached_property
    def support(self) -> NDArray[np.int64]:
        """int64 (K,): images of each true class."""
        sums = np.zeros(len(self.classes), np.int64)
        np.add.at(sums, self.cells[:, 0], self.cells[:, 2])
        return sums

    @cached_property
    def mistakes(self) -> NDArray[np.int64]:
        """int64 (Q, 3): the cells off the diagonal, largest first."""
        wrong: NDArray[np.int64] = self.cells[self.cells[:, 0] != self.cells[:, 1]]
        return wrong[np.argsort(-wrong[:, 2], kind="stable")]

    @property
    def accuracy(self) -> Proportion:
        """Top-1: the share of the diagonal."""
        total = int(self.cells[:, 2].sum())
        return Proportion.of(total - int(self.mistakes[:, 2].sum()), total)

    def to_json(self) -> Any:
        """The matrix or, beyond :data:`DENSE` classes, the cells."""
        dense = len(self.classes) <= DENSE
        table = {"matrix": self.matrix.tolist()} if dense else {"cells": self.cells.tolist()}
        return {"classes": list(self.classes)} | table


@dataclass(frozen=True)
class ConfusedPair(Value):
    """A class predicted for another: their names, the images, and the fraction of the label's images."""

    label: str
    predicted: str
    count: int
    share: float


@dataclass(frozen=True)
class ConfusedPairs(Value):
    """How many pairs are confused at least ``min_count`` times, and the most frequent of them, in order."""

    min_count: int
    found: int
    pairs: tuple[ConfusedPair, ...]


def build(*, min_count: int = 2, limit: int = 200) -> ShownMetric:
    """The metric; see :func:`confusion`."""
    return ShownMetric(partial(confusion, min_count=min_count, limit=limit), SHOWN)


def confusion(outcomes: Outcomes, *, min_count: int = 2, limit: int = 200) -> dict[str, Value]:
    """How often each class was predicted for each other.

    Args:
        outcomes: To judge.
        min_count: Pairs confused less often are left out.
        limit: At most so many pairs.

    Returns:
        ``confusion``: :class:`Confusion`. ``confused_pairs``: :class:`ConfusedPairs`.
    """
    table, classes = Confusion.of(outcomes), outcomes.classes
    wrong = table.mistakes[table.mistakes[:, 2] >= min_count]
    pairs = tuple(
        ConfusedPair(classes[label], classes[answer], count, count / int(table.support[label]))
        for label, answer, count in wrong[:limit].tolist()
    )
    return {"confusion": table, "confused_pairs": ConfusedPairs(min_count, len(wrong), pairs)}


SHOWN = (
    Shown("confusion", "section", "Confusion matrix", places=REPORT),
    Shown(
        "confused_pairs", "table", "Most confused", places=TERMINAL, rows=lambda found: found.pairs,
        columns=(
            Column("label", width=24), Column("taken for", width=24), Column("images", ","),
            Column("of its class", ".2%"),
        ),
        heading=lambda found: f"Most confused (pairs of at least {counted(found.min_count, 'image')})",
        total=lambda found: found.found,
    ),
)  # fmt: skip
