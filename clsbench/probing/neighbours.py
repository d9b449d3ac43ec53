"""k nearest neighbours on features: what they say without anything being fitted."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

#: Neighbours that vote, fewer where there are fewer images.
NEIGHBOURS = 10


def neighbour_answers(
    features: NDArray[np.float32], labels: NDArray[np.int64], folds: NDArray[np.int64]
) -> NDArray[np.int64]:
    """Classify each fold by the images of the others that are nearest by angle, the nearer ones counting more.

    Args:
        features: float32 (N, D).
        labels: int64 (N,).
        folds: int64 (N,).

    Returns:
        int64 (N,), the best class.

    Source: Z. Wu et al., Unsupervised feature learning via non-parametric instance discrimination, CVPR 2018, with
    1 / distance for its weights.
    """
    from sklearn.neighbors import KNeighborsClassifier

    lengths = np.linalg.norm(features, axis=1, keepdims=True)
    unit = features / np.where(lengths > 0, lengths, 1)
    predicted = np.full(len(labels), -1, np.int64)
    for fold in np.unique(folds):
        train, held = folds != fold, folds == fold
        # Between vectors of one length, Euclid's order is that of the angles.
        model = KNeighborsClassifier(min(NEIGHBOURS, int(train.sum())), weights="distance", algorithm="brute")
        predicted[held] = model.fit(unit[train], labels[train]).predict(unit[held])
    return predicted
