"""PredictionTable: a predictions file in memory, in columns; N rows, K classes."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from clsbench.errors import DataError
from clsbench.predictions.cells import Names
from clsbench.predictions.manifest import Manifest
from clsbench.predictions.outcomes import Outcomes
from clsbench.predictions.spill import Spill, release

#: What a probability written as 0.000000 may have been, at most.
HALF_DIGIT = 5e-7


@dataclass(frozen=True, kw_only=True)
class PredictionTable:
    """Everything a predictions file says; rows in the order of the file.

    Args:
        file: Where it was read from.
        names: N unique paths.
        classes: K names.
        labels: int32 (N,), the true classes, -1 where unknown.
        ranked: int32 (N, R), the best classes, best first; -1 for images that were not classified.
            R is 1 where the file tells no more than the best.
        confidence: float64 (N,), the probability of the predicted class; NaN where unknown.
        label_confidence: float64 (N,), the same of the true class.
        probabilities: float32 (K, N), one row a class; NaN for images that were not classified.
            None where the file does not have them.
        abstained: bool (N,), where the model abstained; None where the file has no such column.
        errors: Name -> why that image was not classified.
        manifest: What ``infer`` wrote beside the file; empty where there is none.
        notes: What the user should know.
        spill: Where more large arrays go.
    """

    file: Path
    names: Names
    classes: tuple[str, ...]
    labels: NDArray[np.int32]
    ranked: NDArray[np.int32]
    confidence: NDArray[np.float64]
    label_confidence: NDArray[np.float64]
    probabilities: NDArray[np.float32] | None
    abstained: NDArray[np.bool_] | None = None
    errors: Mapping[str, str]
    manifest: Manifest
    notes: tuple[str, ...]
    spill: Spill = field(repr=False)

    @property
    def predicted(self) -> NDArray[np.int32]:
        """int32 (N,): the best class, -1 for images that were not classified."""
        return self.ranked[:, 0]

    @property
    def root(self) -> Path | str | None:
        """What the names are relative to, by the manifest; see :attr:`clsbench.predictions.manifest.Manifest.root`."""
        return self.manifest.root

    def outcomes(self) -> Outcomes:
        """The labelled and classified images, for metrics.

        Raises:
            DataError: if there are none.
        """
        rows = np.flatnonzero((self.labels >= 0) & (self.predicted >= 0))
        if not rows.size:
            self._refuse()
        known = self.label_confidence[rows]
        return Outcomes(
            self.classes,
            self.labels[rows].astype(np.int64),
            self.ranked[rows].astype(np.int64),
            self.confidence[rows],
            known if self.probabilities is not None else np.where(known == 0, HALF_DIGIT, known),
            self.names if rows.size == len(self.names) else self.names.take(rows),
            None if self.probabilities is None else self._columns(self.probabilities, rows).T,
            None if self.abstained is None else self.abstained[rows],
        )

    def _columns(self, matrix: NDArray[np.float32], rows: NDArray[np.int64]) -> NDArray[np.float32]:
        """Some columns of the matrix; the matrix itself where that is all of them."""
        if rows.size == matrix.shape[1]:
            return matrix
        chosen = self.spill.empty((len(matrix), rows.size))
        for k in range(len(matrix)):
            chosen[k] = matrix[k][rows]
            release(matrix)
            release(chosen)
        return chosen

    def _refuse(self) -> None:
        if (self.labels < 0).all():
            raise DataError(
                "no image has a label, so there is nothing to evaluate",
                where=self.file,
                hint="give the labels with --labels FILE.csv (columns path,label)",
            )
        first = next(iter(self.errors.values()), None)
        raise DataError("none of the labelled images was classified", where=self.file, got=first)
