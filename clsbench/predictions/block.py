"""Predictions: what a model said about a batch of images, and the outcomes metrics see."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any

import numpy as np
from numpy.typing import NDArray

#: How many of the best classes an :class:`Outcomes` keeps for each image.
RANKED = 5

#: In a predictions file the probability of class ``cat`` stands in the column ``p:cat``.
PREFIX = "p:"


@dataclass(frozen=True)
class Predictions:
    """One batch of results, in input order.

    Args:
        names: N stable ids (relative paths).
        labels: int64 (N,), index into the classes, -1 where unknown.
        logits: float32 (N, K); rows of images that could not be used are NaN.
        errors: N reasons, None where the image was classified.
        temperature: Divides the logits before softmax.
    """

    names: list[str]
    labels: NDArray[np.int64]
    logits: NDArray[np.float32]
    errors: list[str | None]
    temperature: float = 1.0

    @cached_property
    def ok(self) -> NDArray[np.bool_]:
        """bool (N,): which images were classified."""
        return np.array([error is None for error in self.errors], dtype=bool)

    @cached_property
    def probabilities(self) -> NDArray[np.float32]:
        """float32 (N, K): softmax of the logits; NaN where there is an error."""
        scaled = self.logits / np.float32(self.temperature)
        shifted = np.exp(scaled - scaled.max(axis=1, keepdims=True, initial=-np.inf))
        return np.asarray(shifted / shifted.sum(axis=1, keepdims=True), dtype=np.float32)

    def top(self, k: int) -> NDArray[np.int64]:
        """int64 (N, min(k, K)): the best classes, best first, ties in class order.

        Rows of images with an error hold no meaning.
        """
        if k == 1:
            return np.asarray(np.argmax(self.logits, axis=1)[:, None], np.int64)
        best: NDArray[np.int64] = np.argsort(-self.logits, axis=1, kind="stable")[:, :k]
        return best


@dataclass(frozen=True)
class Outcomes:
    """What metrics need of every labelled and classified image; M images, K classes.

    Args:
        classes: K names.
        labels: int64 (M,), the true classes.
        ranked: int64 (M, R), the best classes, best first; R is min(5, K) where all are known, at least 1.
        confidence: float32 or float64 (M,), the probability of the best class; NaN where unknown.
        label_confidence: The same of the true class.
        names: M stable ids (relative paths), or None where nobody kept them.
        probabilities: float32 (M, K), or None where only the best ones are known. Stored class by
            class, so a column is one piece of memory; when large it is a file and best read in parts.
    """

    classes: tuple[str, ...]
    labels: NDArray[np.int64]
    ranked: NDArray[np.int64]
    confidence: NDArray[np.floating[Any]]
    label_confidence: NDArray[np.floating[Any]]
    names: Sequence[str] | None = None
    probabilities: NDArray[np.float32] | None = None

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
    """Gathers :class:`Outcomes` batch by batch: some 40 bytes an image."""

    classes: tuple[str, ...]
    _parts: list[tuple[NDArray[Any], ...]] = field(default_factory=list)

    def add(self, predictions: Predictions) -> None:
        """Take the labelled, classified images of a batch."""
        rows = np.flatnonzero(predictions.ok & (predictions.labels >= 0))
        if rows.size == 0:
            return
        labels, probabilities = predictions.labels[rows], predictions.probabilities[rows]
        ranked = predictions.top(min(RANKED, len(self.classes)))[rows]
        index = np.arange(rows.size)
        self._parts.append((labels, ranked, probabilities[index, ranked[:, 0]], probabilities[index, labels]))

    def outcomes(self) -> Outcomes | None:
        """Everything gathered so far, or None where no image had a label."""
        if not self._parts:
            return None
        labels, ranked, confidence, of_label = (np.concatenate(column) for column in zip(*self._parts, strict=True))
        return Outcomes(self.classes, labels, ranked, confidence, of_label)
