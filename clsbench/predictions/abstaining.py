"""Which predictions are no decisions: those of a probability below the threshold of the model's card."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

#: Decimal places of probabilities in a predictions file.
PLACES = 6


@dataclass(frozen=True)
class Abstained:
    """How many of the classified images a model abstained from, and below which probability."""

    count: int
    classified: int
    below: float

    def to_json(self) -> dict[str, Any]:
        """Plain values."""
        return {"count": self.count, "classified": self.classified, "below": self.below}


def as_written(confidence: NDArray[np.floating[Any]]) -> NDArray[np.float64]:
    """Probabilities as a predictions file has them, and as the threshold sees them: rounded to six places."""
    rounded: NDArray[np.float64] = confidence.astype(np.float64).round(PLACES)
    return rounded


def abstains(confidence: NDArray[np.floating[Any]], below: float) -> NDArray[np.bool_]:
    """bool (N,): which probabilities of the best class are below a threshold; False for NaN.

    >>> abstains(np.array([0.829999, 0.8299999, 0.83], np.float64), 0.83).tolist()
    [True, False, False]
    """
    return np.asarray(as_written(confidence) < below)
