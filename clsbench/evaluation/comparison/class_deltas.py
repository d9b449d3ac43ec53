"""Two models on the same labelled images, class by class: whose recall changed, allowing for their number."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from clsbench.evaluation.comparison.paired import LEVEL, holm, mcnemar


@dataclass(frozen=True)
class ClassDelta:
    """How the recall of one class changes from A to B.

    Args:
        name: The class.
        support: Images of the class.
        correct_a: How many of them A has right.
        correct_b: How many of them B has right.
        lost: Right in A, wrong in B.
        gained: Wrong in A, right in B.
        p_value: Exact McNemar within the class.
        p_adjusted: The same, by Holm for the number of classes that have images.
    """

    name: str
    support: int
    correct_a: int
    correct_b: int
    lost: int
    gained: int
    p_value: float
    p_adjusted: float

    @property
    def recall_a(self) -> float | None:
        """A fraction; None without images."""
        return self.correct_a / self.support if self.support else None

    @property
    def recall_b(self) -> float | None:
        """A fraction; None without images."""
        return self.correct_b / self.support if self.support else None

    @property
    def delta(self) -> float | None:
        """Recall of B minus that of A, a fraction; None without images."""
        return (self.gained - self.lost) / self.support if self.support else None

    @property
    def significant(self) -> bool:
        """Whether the change is significant after the correction for many classes."""
        return self.p_adjusted < LEVEL

    def to_json(self) -> dict[str, Any]:
        """Plain values, without the name."""
        counts = asdict(self)
        p_value, p_adjusted = counts.pop("p_value"), counts.pop("p_adjusted")
        del counts["name"]
        recalls = {"recall_a": self.recall_a, "recall_b": self.recall_b, "delta": self.delta}
        return counts | recalls | {"p": p_value, "p_adjusted": p_adjusted, "significant": self.significant}


def class_deltas(
    labels: NDArray[np.integer[Any]], right_a: NDArray[np.bool_], right_b: NDArray[np.bool_], classes: Sequence[str]
) -> tuple[ClassDelta, ...]:
    """The change of each class, with a test that allows for their number.

    Args:
        labels: int (N,), the true classes, 0 to K − 1.
        right_a: bool (N,), which images model A has right.
        right_b: bool (N,), which images model B has right.
        classes: K names.

    Returns:
        K changes; a class without images has p values of 1 and does not count for Holm.
    """
    support, correct_a, correct_b, both = (
        np.bincount(labels[chosen], minlength=len(classes))
        for chosen in (np.ones_like(right_a), right_a, right_b, right_a & right_b)
    )
    lost, gained = correct_a - both, correct_b - both
    p_values = mcnemar(lost, gained)
    adjusted = np.ones_like(p_values)
    adjusted[support > 0] = holm(p_values[support > 0])
    columns = (support, correct_a, correct_b, lost, gained, p_values, adjusted)
    return tuple(
        ClassDelta(name, *row)
        for name, row in zip(classes, zip(*(column.tolist() for column in columns), strict=True), strict=True)
    )
