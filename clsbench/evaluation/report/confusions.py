"""The confusion matrix as a square or, with many classes, as its largest entries."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

import numpy as np

from clsbench.evaluation.metrics.confusion import DENSE, ConfusedPair, Confusion
from clsbench.evaluation.report.formats import name
from clsbench.evaluation.report.thumbnails import Thumbnail


@dataclass(frozen=True)
class Cell:
    """An entry of the square.

    Args:
        count: Images.
        share: Of the images of its true class.
        right: Whether it is on the diagonal.
    """

    count: int
    share: float
    right: bool

    @property
    def tint(self) -> int:
        """How strong its colour is, 0 to 100: rare mistakes have to be seen too."""
        return round(100 * float(np.sqrt(self.share)))


@dataclass(frozen=True)
class MatrixRow:
    """A true class: its name, its images, and a cell for each predicted class."""

    name: str
    support: int
    cells: tuple[Cell, ...]


@dataclass(frozen=True)
class Pair:
    """A class often taken for another.

    Args:
        label: Index of the true class.
        predicted: Index of the predicted class.
        names: Of the two.
        count: Images.
        share: Of the images of the true class.
        thumbnails: Of some of them, and their names.
    """

    label: int
    predicted: int
    names: tuple[str, str]
    count: int
    share: float
    thumbnails: tuple[tuple[str, Thumbnail], ...] = ()


def square(confusion: Confusion) -> list[MatrixRow] | None:
    """The whole matrix; None where it has too many classes to be looked at."""
    if len(confusion.classes) > DENSE:
        return None
    rows = []
    for label, (title, counts) in enumerate(zip(confusion.classes, confusion.matrix.tolist(), strict=True)):
        support = sum(counts)
        cells = tuple(
            Cell(times, times / support if support else 0.0, label == predicted)
            for predicted, times in enumerate(counts)
        )
        rows.append(MatrixRow(name(title), support, cells))
    return rows


def confused_pairs(classes: Sequence[str], pairs: Iterable[ConfusedPair]) -> list[Pair]:
    """The most confused pairs, with indices into the classes; without thumbnails."""
    index = {title: k for k, title in enumerate(classes)}
    return [
        Pair(index[pair.label], index[pair.predicted], (name(pair.label), name(pair.predicted)), pair.count, pair.share)
        for pair in pairs
    ]
