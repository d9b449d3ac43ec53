"""Outcomes: what metrics see of labelled and classified images."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from functools import cached_property

import numpy as np
from numpy.typing import NDArray

from clsbench.predictions.abstaining import abstains
from clsbench.predictions.block import Predictions

#: How many of the best classes an :class:`Outcomes` keeps for each image.
RANKED = 5


@dataclass(frozen=True)
class Outcomes:
    """What metrics need of every labelled and classified image; M images, K classes.

    Args:
        classes: K names.
        labels: int64 (M,), the true classes.
        ranked: int64 (M, R), the best classes, best first; R is min(5, K) where all are known, at least 1.
        confidence: float32 or float64 (M,), the probability of the best class; NaN where unknown.
        label_confidence: The same of the true class.
        names: M stable ids (relative paths), or None where they were not kept.
        probabilities: float32 (M, K), or None where only the best ones are known. Stored class by
            class, so a column is contiguous; a large array is mapped from a file and best read in parts.
        abstained: bool (M,), where the model's probability is below its threshold; None where it has none.
    """

    classes: tuple[str, ...]
    labels: NDArray[np.int64]
    ranked: NDArray[np.int64]
    confidence: NDArray[np.float32] | NDArray[np.float64]
    label_confidence: NDArray[np.float32] | NDArray[np.float64]
    names: Sequence[str] | None = None
    probabilities: NDArray[np.float32] | None = None
    abstained: NDArray[np.bool_] | None = None

    @property
    def predicted(self) -> NDArray[np.int64]:
        """int64 (M,): the best class."""
        return self.ranked[:, 0]

    @cached_property
    def pairs(self) -> tuple[NDArray[np.int64], NDArray[np.int64], NDArray[np.int64]]:
        """int64 (P,) each: every (label, predicted) that occurs, in order, and how often.

        At most min(M, K²) of them: as sample weights they stand for all images.
        """
        found, times = np.unique(self.labels * len(self.classes) + self.predicted, return_counts=True)
        labels, predicted = np.divmod(found, len(self.classes))
        return labels, predicted, times


@dataclass
class OutcomeCollector:
    """Gathers :class:`Outcomes` block by block: some 64 bytes an image; ``abstain_below`` is of the model's card."""

    classes: tuple[str, ...]
    abstain_below: float | None = None
    _blocks: list[Outcomes] = field(default_factory=list)

    def add(self, predictions: Predictions) -> None:
        """Take the labelled, classified images of a block."""
        rows = np.flatnonzero(predictions.ok & (predictions.labels >= 0))
        if rows.size == 0:
            return
        labels, probabilities = predictions.labels[rows], predictions.probabilities[rows]
        ranked = predictions.top(min(RANKED, len(self.classes)))[rows]
        index = np.arange(rows.size)
        best, of_label = probabilities[index, ranked[:, 0]], probabilities[index, labels]
        abstained = None if self.abstain_below is None else abstains(best, self.abstain_below)
        self._blocks.append(Outcomes(self.classes, labels, ranked, best, of_label, abstained=abstained))

    def outcomes(self) -> Outcomes | None:
        """Everything gathered so far, or None where no image had a label."""
        return joined(self._blocks)


def joined(parts: Sequence[Outcomes]) -> Outcomes | None:
    """Outcomes of the same classes one after another, without names and probabilities; None without any."""
    if not parts:
        return None
    columns = ("labels", "ranked", "confidence", "label_confidence")
    labels, ranked, confidence, of_label = (np.concatenate([getattr(part, name) for part in parts]) for name in columns)
    flags = [part.abstained for part in parts if part.abstained is not None]
    abstained = np.concatenate(flags) if len(flags) == len(parts) else None
    return Outcomes(parts[0].classes, labels, ranked, confidence, of_label, abstained=abstained)
