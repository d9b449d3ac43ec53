"""A linear head on features, judged on images that it was not fitted to.

It is scikit-learn's L2-regularised multinomial logistic regression on standardised features. Mean, deviation
and strength are chosen inside the training folds, so that nothing of a held-out image is known.
"""

from __future__ import annotations

import warnings
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from clsbench.probing.pool import deal

#: Values of C that are tried, from strong to weak regularisation.
STRENGTHS = (1e-5, 1e-4, 1e-3, 1e-2, 1e-1, 1.0, 10.0)

#: Folds of the choice of C, the images that it looks at at most, and C where there are too few to choose.
INNER, CHOOSING, UNCHOSEN = 3, 10_000, 1e-2

#: Iterations of L-BFGS.
ITERATIONS = 300

#: The choice ends after so many values of C in a row that are worse than the best.
PATIENCE = 2


@dataclass(frozen=True)
class LinearAnswers:
    """What the heads said of the images that they were not fitted to.

    Args:
        predicted: int64 (N,), the best class.
        strengths: C of each fold.
        unconverged: Folds whose last fit used up its iterations.
    """

    predicted: NDArray[np.int64]
    strengths: tuple[float, ...]
    unconverged: int


def linear_answers(
    features: NDArray[np.float32],
    labels: NDArray[np.int64],
    folds: NDArray[np.int64],
    *,
    views: NDArray[np.float32] | None = None,
    seed: int = 0,
    heard: Callable[[int], None] = lambda count: None,
) -> LinearAnswers:
    """Fit a head on all folds but one, for each of them, and classify that one.

    Args:
        features: float32 (N, D), of the images without randomness; these are judged.
        labels: int64 (N,).
        folds: int64 (N,).
        views: float32 (V, N, D) of augmented views to fit to instead; None to fit to ``features``.
        seed: Of the inner folds.
        heard: Called with 1 after each fold.
    """
    fitted, strengths, unconverged = features[None] if views is None else views, [], 0
    predicted = np.full(len(labels), -1, np.int64)
    for fold in np.unique(folds):
        train, held = np.flatnonzero(folds != fold), np.flatnonzero(folds == fold)
        strength = _choose(features, fitted, labels, train, seed)
        head = _Head(fitted, labels, train)
        head.fit(strength)
        predicted[held] = head.predict(features[held])
        strengths.append(strength)
        unconverged += head.unconverged
        heard(1)
    return LinearAnswers(predicted, tuple(strengths), unconverged)


class _Head:
    """Logistic regression on standardised rows, fitted again and again with weaker regularisation."""

    def __init__(self, fitted: NDArray[np.float32], labels: NDArray[np.int64], train: NDArray[np.int64]) -> None:
        from sklearn.linear_model import LogisticRegression
        from sklearn.preprocessing import StandardScaler

        rows = fitted[:, train].reshape(-1, fitted.shape[-1])
        self._scaler = StandardScaler()
        self._rows = self._scaler.fit_transform(rows.astype(np.float64))
        self._labels = np.tile(labels[train], len(fitted))
        self._model: Any = LogisticRegression(max_iter=ITERATIONS, warm_start=True)
        self._only = self._labels[0] if len(np.unique(self._labels)) == 1 else None

    def fit(self, strength: float) -> None:
        from sklearn.exceptions import ConvergenceWarning

        if self._only is not None:
            return
        self._model.C = strength
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", ConvergenceWarning)  # counted by `unconverged`
            self._model.fit(self._rows, self._labels)

    @property
    def unconverged(self) -> bool:
        return self._only is None and bool(np.max(self._model.n_iter_) >= ITERATIONS)

    def predict(self, features: NDArray[np.float32]) -> NDArray[np.int64]:
        if self._only is not None:
            return np.full(len(features), self._only, np.int64)
        return np.asarray(self._model.predict(self._scaler.transform(features.astype(np.float64))), np.int64)

    def loss(self, features: NDArray[np.float32], labels: NDArray[np.int64]) -> float:
        """The mean log loss, nats; a class that was not seen in training has a tiny probability."""
        if self._only is not None:
            return 0.0
        logs = self._model.predict_log_proba(self._scaler.transform(features.astype(np.float64)))
        at = np.searchsorted(self._model.classes_, labels).clip(max=len(self._model.classes_) - 1)
        known = self._model.classes_[at] == labels
        return float(-np.where(known, logs[np.arange(len(labels)), at].clip(min=-50), -50.0).mean())


def _choose(
    features: NDArray[np.float32],
    fitted: NDArray[np.float32],
    labels: NDArray[np.int64],
    train: NDArray[np.int64],
    seed: int,
) -> float:
    """The C with the least held-out log loss within the training images."""
    if len(train) > CHOOSING:
        train = np.sort(np.random.default_rng(seed).choice(train, CHOOSING, replace=False))
    inner = min(INNER, int(np.bincount(labels[train]).max()))
    if inner < 2 or len(np.unique(labels[train])) < 2:
        return UNCHOSEN
    dealt = deal(labels[train], inner, seed)
    heads = [(_Head(fitted, labels, train[dealt != k]), train[dealt == k]) for k in range(inner)]
    losses: list[float] = []
    for strength in STRENGTHS:
        total = 0.0
        for head, held in heads:
            head.fit(strength)
            total += head.loss(features[held], labels[held]) * len(held)
        losses.append(total)
        if len(losses) - 1 - int(np.argmin(losses)) >= PATIENCE:
            break
    return STRENGTHS[int(np.argmin(losses))]
