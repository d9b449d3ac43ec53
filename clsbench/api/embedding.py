"""Embedding: the features of one image of many."""

from __future__ import annotations

from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from clsbench.predictions.block import Predictions


@dataclass(frozen=True, kw_only=True)
class Embedding:
    """The features of one image of many.

    Args:
        name: The path, or the position in the stream.
        features: float32 (D,), what goes into the network's head; NaN where the image could not be used.
        error: Why it could not be used, or None.
    """

    name: str
    features: NDArray[np.float32] = field(repr=False)
    error: str | None = None


def embeddings(block: Predictions) -> list[Embedding]:
    """One for each row of a block that has features."""
    assert block.features is not None
    rows = zip(block.names, block.features, block.errors, strict=True)
    return [Embedding(name=name, features=row, error=error) for name, row, error in rows]
