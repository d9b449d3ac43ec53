"""The ``coverage`` metric: how much can be automated, and how right that part is."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from clsbench.predictions.metric import REPORT, TERMINAL, Column, Shown, ShownMetric
from clsbench.predictions.outcomes import Outcomes
from clsbench.predictions.values import Absent, Rows, Value, wilson
from clsbench.text import counted

#: Confidences from which on an image counts as decided.
THRESHOLDS = (0.5, 0.6, 0.7, 0.8, 0.9, 0.95, 0.99)

#: Accuracies for which the threshold is looked for.
TARGETS = (0.95, 0.99)


@dataclass(frozen=True)
class CoverageRow(Value):
    """The images at or above a confidence: their number, share and accuracy with its 95% Wilson interval.

    ``threshold`` is None where none reaches the target, ``accuracy`` where there are no images.
    """

    threshold: float | None
    kept: int
    coverage: float
    accuracy: float | None
    low: float
    high: float


@dataclass(frozen=True)
class TargetRow(Value):
    """The lowest threshold that reaches an accuracy, and what it keeps."""

    target: float
    row: CoverageRow

    def to_json(self) -> Any:
        """The target beside the values of the row."""
        return {"target": self.target} | self.row.to_json()


class Coverage(Rows[CoverageRow]):
    """A row for each of :data:`THRESHOLDS`."""


class CoverageTargets(Rows[TargetRow]):
    """A row for each of :data:`TARGETS`."""


def build() -> ShownMetric:
    """The metric; see :func:`coverage`."""
    return ShownMetric(coverage, SHOWN)


def coverage(outcomes: Outcomes) -> dict[str, Value]:
    """Coverage and accuracy of the images at or above a confidence.

    Source: R. El-Yaniv and Y. Wiener, On the foundations of noise-free selective classification,
    JMLR 11 (2010).

    Returns:
        ``coverage``: :class:`Coverage`. ``coverage_for_accuracy``: :class:`CoverageTargets`.
    """
    unknown = int(np.isnan(outcomes.confidence).sum())
    if unknown:
        absent = Absent(f"the confidence is not known for {counted(unknown, 'image')}")
        return {"coverage": absent, "coverage_for_accuracy": absent}
    order = np.argsort(-outcomes.confidence, kind="stable")
    falling = outcomes.confidence[order]
    right = np.cumsum(outcomes.predicted[order] == outcomes.labels[order])
    rows = [
        _row(right, threshold, int(np.searchsorted(-falling, -falling.dtype.type(threshold), side="right")))
        for threshold in THRESHOLDS
    ]
    targets = tuple(TargetRow(target, _reach(falling, right, target)) for target in TARGETS)
    return {"coverage": Coverage(tuple(rows)), "coverage_for_accuracy": CoverageTargets(targets)}


def _row(right: NDArray[np.int64], threshold: float | None, kept: int) -> CoverageRow:
    correct = int(right[kept - 1]) if kept else 0
    accuracy = correct / kept if kept else None
    return CoverageRow(threshold, kept, kept / len(right), accuracy, *wilson(correct, kept))


def borders(falling: NDArray[np.floating[Any]]) -> NDArray[np.int64]:
    """Where a threshold can cut falling confidences: images of one confidence are decided together."""
    return np.flatnonzero(np.append(falling[1:] != falling[:-1], True)) + 1


def reach(falling: NDArray[np.floating[Any]], right: NDArray[np.int64], target: float) -> int:
    """How many images the largest part has, from the most confident on, that is as accurate as the target; 0 for none.

    Args:
        falling: Float (M,), the confidences, falling.
        right: int64 (M,), how many of the images up to here are classified correctly.
        target: The accuracy, a fraction.
    """
    ends = borders(falling)
    reaching = ends[right[ends - 1] / ends >= target - 1e-12]
    return int(reaching[-1]) if reaching.size else 0


def _reach(falling: NDArray[np.floating[Any]], right: NDArray[np.int64], target: float) -> CoverageRow:
    kept = reach(falling, right, target)
    return _row(right, float(falling[kept - 1]) if kept else None, kept)


SHOWN = (
    Shown(
        "coverage", "table", "Coverage at a confidence", places=TERMINAL,
        columns=(Column("at least", ".2f"), Column("of the images", ".2%"), Column("accuracy", ".2%")),
        rows=lambda found: ((row.threshold, row.coverage, row.accuracy) for row in found.rows),
    ),
    Shown("coverage_for_accuracy", "section", "Coverage for an accuracy", places=REPORT),
)  # fmt: skip
