"""The confusion matrix as a square or, with many classes, as its largest entries."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from clsbench.evaluation.report.formats import name
from clsbench.evaluation.report.thumbnails import Picture


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
        pictures: Some of them, and their names.
    """

    label: int
    predicted: int
    names: tuple[str, str]
    count: int
    share: float
    pictures: tuple[tuple[str, Picture], ...] = ()


def cells_of(confusion: Mapping[str, Any]) -> NDArray[np.int64]:
    """The entries above 0: int64 (P, 3) of true class, predicted class, count.

    Args:
        confusion: As the metric gives it.
    """
    if "matrix" not in confusion:
        return np.array(confusion["cells"], np.int64).reshape(-1, 3)
    matrix = np.array(confusion["matrix"], np.int64)
    labels, predicted = np.nonzero(matrix)
    return np.stack([labels, predicted, matrix[labels, predicted]], axis=1)


def mistakes(cells: NDArray[np.int64]) -> NDArray[np.int64]:
    """The entries off the diagonal, largest first: int64 (Q, 3)."""
    wrong: NDArray[np.int64] = cells[cells[:, 0] != cells[:, 1]]
    return wrong[np.argsort(-wrong[:, 2], kind="stable")]


def supports(cells: NDArray[np.int64], classes: int) -> NDArray[np.int64]:
    """Images of each true class: int64 (K,)."""
    sums = np.zeros(classes, np.int64)
    np.add.at(sums, cells[:, 0], cells[:, 2])
    return sums


def square(confusion: Mapping[str, Any]) -> list[MatrixRow] | None:
    """The whole matrix; None where it has too many classes to be looked at."""
    if "matrix" not in confusion:
        return None
    rows = []
    for label, (title, counts) in enumerate(zip(confusion["classes"], confusion["matrix"], strict=True)):
        support = sum(counts)
        cells = tuple(
            Cell(times, times / support if support else 0.0, label == predicted)
            for predicted, times in enumerate(counts)
        )
        rows.append(MatrixRow(name(title), support, cells))
    return rows


def confused_pairs(facts: Mapping[str, Any], pairs: list[Mapping[str, Any]]) -> list[Pair]:
    """The most-confused pairs, with indices into the classes; without pictures."""
    index = {title: k for k, title in enumerate(facts["classes"])}
    return [
        Pair(
            index[pair["label"]],
            index[pair["predicted"]],
            (name(pair["label"]), name(pair["predicted"])),
            pair["count"],
            pair["share"],
        )
        for pair in pairs
    ]
