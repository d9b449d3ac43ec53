"""Predictions: what a model said about a block of images."""

from __future__ import annotations

import dataclasses
from dataclasses import dataclass
from functools import cached_property
from typing import cast

import numpy as np
from numpy.typing import NDArray


@dataclass(frozen=True)
class Predictions:
    """A block of results, in input order; N images, K classes, D features.

    Args:
        names: N stable ids (relative paths).
        logits: float32 (N, K); NaN in rows of images that could not be used.
        errors: N reasons, None where the image was classified.
        labels: int64 (N,), indices of the true classes, -1 where unknown; all -1 by default.
        temperature: Divides the logits before softmax.
        reasons: N codes of :data:`clsbench.errors.REASONS`, None where the image was classified; ``unreadable`` where
            none was given.
        features: float32 (N, D), what goes into the network's head; NaN in rows of images that could not be used. None
            where they were not asked for.

    Raises:
        ValueError: if they are not of one length.
    """

    names: list[str]
    logits: NDArray[np.float32]
    errors: list[str | None]
    labels: NDArray[np.int64] = cast("NDArray[np.int64]", None)  # noqa: RUF009  filled in below
    temperature: float = 1.0
    reasons: list[str | None] = cast("list[str | None]", None)  # noqa: RUF009  filled in below
    features: NDArray[np.float32] | None = None

    def __post_init__(self) -> None:
        if self.reasons is None:
            codes = [None if error is None else "unreadable" for error in self.errors]
            object.__setattr__(self, "reasons", codes)
        if self.labels is None:
            object.__setattr__(self, "labels", np.full(len(self.names), -1, np.int64))
        lengths = len(self.names), len(self.logits), len(self.errors), len(self.labels), len(self.reasons)
        if len(set(lengths)) > 1:
            raise ValueError("{} names, {} rows of logits, {} errors, {} labels and {} reasons".format(*lengths))
        if self.features is not None and len(self.features) != len(self.names):
            raise ValueError(f"rows of features: {len(self.features)}, of names: {len(self.names)}")

    def labelled(self, labels: NDArray[np.int64]) -> Predictions:
        """The same with labels: int64 (N,), -1 where unknown."""
        same = dataclasses.replace(self, labels=labels)
        same.__dict__.update({name: vars(self)[name] for name in ("ok", "probabilities") if name in vars(self)})
        return same

    @cached_property
    def ok(self) -> NDArray[np.bool_]:
        """bool (N,): which images were classified."""
        return np.array([error is None for error in self.errors], dtype=bool)

    @cached_property
    def probabilities(self) -> NDArray[np.float32]:
        """float32 (N, K): softmax of the logits; NaN where there is an error."""
        # Differences before the division, which would round large logits.
        shifted = np.exp(
            (self.logits - self.logits.max(axis=1, keepdims=True, initial=-np.inf)) / np.float32(self.temperature)
        )
        return np.asarray(shifted / shifted.sum(axis=1, keepdims=True), dtype=np.float32)

    def top(self, k: int) -> NDArray[np.int64]:
        """int64 (N, min(k, K)): the best classes, best first, ties in class order.

        Rows of images with an error are meaningless.
        """
        if k == 1:
            return np.asarray(np.argmax(self.logits, axis=1)[:, None], np.int64)
        best: NDArray[np.int64] = np.argsort(-self.logits, axis=1, kind="stable")[:, :k]
        return best
