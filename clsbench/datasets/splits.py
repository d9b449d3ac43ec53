"""Splitting samples: seeded, stratified, the same on every machine."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from clsbench.datasets.dataset import Sample
from clsbench.errors import OptionError


def stratified_split(samples: Sequence[Sample], fraction: float, *, seed: int) -> tuple[list[Sample], list[Sample]]:
    """Set a fraction of every class aside.

    A class of two or more samples stands on both sides; a single one stays in the first.

    Args:
        samples: In a stable order.
        fraction: Of each class to set aside, in (0, 1).
        seed: Same seed, same samples: same split.

    Returns:
        (kept, set aside), both in the order of ``samples``.

    Raises:
        OptionError: if the fraction is not in (0, 1).
    """
    if not 0 < fraction < 1:
        raise OptionError("a split needs a fraction between 0 and 1", got=fraction, expected="for example 0.2")
    random = np.random.default_rng(seed)
    labels = np.array([-1 if s.label is None else s.label for s in samples])
    aside = np.zeros(len(samples), dtype=bool)
    for label in np.unique(labels):
        members = random.permutation(np.flatnonzero(labels == label))
        wanted = min(max(round(fraction * len(members)), 1), len(members) - 1)
        aside[members[:wanted]] = True
    kept = [s for s, is_aside in zip(samples, aside, strict=True) if not is_aside]
    return kept, [s for s, is_aside in zip(samples, aside, strict=True) if is_aside]
