"""A linear head on features, judged on images that it was not fitted to.

It is scikit-learn's L2-regularised multinomial logistic regression on standardised features. Mean, deviation
and strength are chosen inside the training folds, so that nothing of a held-out image is known.
"""

from __future__ import annotations

import warnings
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from clsbench.machine import available_cores, available_memory
from clsbench.probing.pool import deal

#: Values of C that are tried, from strong to weak regularisation.
STRENGTHS = (1e-5, 1e-4, 1e-3, 1e-2, 1e-1, 1.0, 10.0)

#: Folds of the choice of C, the images that it looks at at most, and C where there are too few to choose.
INNER, CHOOSING, UNCHOSEN = 3, 10_000, 1e-2

#: Iterations of L-BFGS.
ITERATIONS = 300

#: The least probability whose logarithm is taken.
LEAST = 1e-20

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
    groups: NDArray[np.int64] | None = None,
    views: NDArray[np.float32] | None = None,
    seed: int = 0,
    heard: Callable[[int], None] = lambda count: None,
) -> LinearAnswers:
    """Fit a head on all folds but one, for each of them, and classify that one.

    Args:
        features: float32 (N, D), of the images without randomness; these are judged.
        labels: int64 (N,).
        folds: int64 (N,).
        groups: int64 (N,), kept whole by the inner folds; None where there are none.
        views: float32 (V, N, D) of augmented views to fit to instead; None to fit to ``features``.
        seed: Of the inner folds.
        heard: Called with 1 after each fold.
    """
    from sklearn.exceptions import ConvergenceWarning
    from threadpoolctl import threadpool_limits

    fitted = features[None] if views is None else views
    predicted = np.full(len(labels), -1, np.int64)
    parts = [
        (_choice(labels, np.flatnonzero(folds != fold), groups, seed), np.flatnonzero(folds == fold))
        for fold in np.unique(folds)
    ]

    def one(choice: _Choice, held: NDArray[np.int64]) -> tuple[float, bool]:
        strength = choice.strength(features, fitted, labels)
        head = _Head(fitted, labels, choice.train)
        head.fit(strength)
        predicted[held] = head.predict(features[held])
        return strength, head.unconverged

    found = []
    # One thread of BLAS for each fold: the products of L-BFGS are too small to be handed to several.
    with threadpool_limits(1), warnings.catch_warnings(), ThreadPoolExecutor(_threads(fitted)) as pool:
        warnings.simplefilter("ignore", ConvergenceWarning)  # told by `unconverged`
        for outcome in pool.map(one, *zip(*parts, strict=True)):
            found.append(outcome)
            heard(1)
    strengths, unconverged = zip(*found, strict=True)
    return LinearAnswers(predicted, strengths, sum(unconverged))


def _threads(fitted: NDArray[np.float32]) -> int:
    """How many folds are fitted at a time: as many as cores, if memory has room for a few copies of the rows each."""
    return max(1, min(available_cores(), available_memory() // max(1, 4 * fitted.nbytes)))


class _Head:
    """Logistic regression on standardised rows, fitted again and again with weaker regularisation."""

    def __init__(self, fitted: NDArray[np.float32], labels: NDArray[np.int64], train: NDArray[np.int64]) -> None:
        from sklearn.linear_model import LogisticRegression
        from sklearn.preprocessing import StandardScaler

        self._scaler = StandardScaler()
        self._rows = self._scaler.fit_transform(fitted[:, train].reshape(-1, fitted.shape[-1]))
        self._labels = np.tile(labels[train], len(fitted))
        self._model: Any = LogisticRegression(max_iter=ITERATIONS, warm_start=True)
        self._only = self._labels[0] if len(np.unique(self._labels)) == 1 else None

    def fit(self, strength: float) -> None:
        if self._only is None:
            self._model.C = strength
            self._model.fit(self._rows, self._labels)

    @property
    def unconverged(self) -> bool:
        return self._only is None and bool(np.max(self._model.n_iter_) >= ITERATIONS)

    def predict(self, features: NDArray[np.float32]) -> NDArray[np.int64]:
        if self._only is not None:
            return np.full(len(features), self._only, np.int64)
        return np.asarray(self._model.predict(self._scaler.transform(features)), np.int64)

    def loss(self, features: NDArray[np.float32], labels: NDArray[np.int64]) -> float:
        """The mean log loss, nats; a class that was not seen in training has a tiny probability."""
        if self._only is not None:
            return 0.0
        chances = self._model.predict_proba(self._scaler.transform(features.astype(np.float64)))
        at = np.searchsorted(self._model.classes_, labels).clip(max=len(self._model.classes_) - 1)
        known = self._model.classes_[at] == labels
        return float(-np.log(np.where(known, chances[np.arange(len(labels)), at], 0).clip(min=LEAST)).mean())


@dataclass(frozen=True)
class _Choice:
    """The images that a head is fitted to, and the folds within them that choose C.

    Args:
        train: int64 (n,), indices.
        chosen: int64 (m,), those of them that the choice looks at.
        dealt: int64 (m,), their inner folds; empty where there are too few to choose.
    """

    train: NDArray[np.int64]
    chosen: NDArray[np.int64]
    dealt: NDArray[np.int64]

    def strength(self, features: NDArray[np.float32], fitted: NDArray[np.float32], labels: NDArray[np.int64]) -> float:
        """The C with the least log loss on the inner folds when they are held out."""
        if not len(self.dealt):
            return UNCHOSEN
        parts = [(self.chosen[self.dealt != k], self.chosen[self.dealt == k]) for k in np.unique(self.dealt)]
        heads = [(_Head(fitted, labels, train), held) for train, held in parts]
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


def _choice(
    labels: NDArray[np.int64], train: NDArray[np.int64], groups: NDArray[np.int64] | None, seed: int
) -> _Choice:
    chosen = train
    if len(train) > CHOOSING:
        chosen = np.sort(np.random.default_rng(seed).choice(train, CHOOSING, replace=False))
    counts, theirs = np.bincount(labels[chosen]), None if groups is None else groups[chosen]
    inner = min(INNER, int(counts.max()) if theirs is None else len(np.unique(theirs)))
    enough = inner > 1 and np.count_nonzero(counts) > 1
    return _Choice(train, chosen, deal(labels[chosen], inner, seed, groups=theirs) if enough else np.zeros(0, np.int64))
