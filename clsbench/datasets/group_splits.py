"""Splits that keep groups whole: classes as even, and sizes as near to what was asked for, as the groups allow."""

from __future__ import annotations

import warnings
from collections.abc import Sequence
from fractions import Fraction

import numpy as np
from numpy.typing import NDArray

from clsbench.datasets.dataset import Sample
from clsbench.datasets.groups import are_grouped, group_numbers
from clsbench.errors import OptionError
from clsbench.text import counted, some

#: Folds that the images are dealt into at most, to set one or several of them aside.
MOST_FOLDS = 20

#: With so few groups every number of folds up to this is tried: any one of them may be far from even.
FEW_GROUPS, TRIED_FOLDS = 50, 8


def group_folds(
    samples: Sequence[Sample], folds: int, *, seed: int, where: object = None
) -> list[tuple[NDArray[np.int64], NDArray[np.int64]]]:
    """(indices of the other folds, indices of the fold) of each fold, by scikit-learn's StratifiedGroupKFold.

    Raises:
        OptionError: if there are fewer groups than folds, or every class has fewer images.
    """
    groups, labels = group_numbers(samples), labels_of(samples)
    if (found := len(set(groups))) < folds:
        raise OptionError(
            "these folds cannot be made", where=where, got=f"{counted(found, 'group')} for {folds} folds",
            expected="a group or more for each fold",
        )  # fmt: skip
    return _dealt(labels, groups, folds, seed, where)


def group_split(samples: Sequence[Sample], fraction: float, *, seed: int) -> tuple[list[Sample], list[Sample]]:
    """Set whole groups aside, so that they have about a fraction of every class.

    The samples are dealt into folds by StratifiedGroupKFold, of which as many are set aside as come nearest to the
    fraction. Of all such sets, and of all numbers of folds where groups are few, the one is taken that leaves the
    fewest classes on one side only, and then has the most even classes.

    Args:
        samples: In a stable order, of two groups or more.
        fraction: Of each class to set aside, in (0, 1).
        seed: Same seed, same samples: same split.

    Returns:
        (kept, set aside), both in the order of ``samples``.

    Raises:
        OptionError: if they are all of one group.
    """
    groups, labels = np.array(group_numbers(samples)), labels_of(samples)
    count = len(np.unique(groups))
    if count < 2:
        raise OptionError(
            "the images are of one group, so there is nothing to split", got=counted(len(samples), "image")
        )
    best: tuple[tuple[float, ...], NDArray[np.bool_]] | None = None
    for part in _parts(fraction, most=min(count, _largest_class(labels)), every=count <= FEW_GROUPS):
        chosen = [fold for _, fold in _dealt(labels, groups, part.denominator, seed, None)]
        for first in range(part.denominator):
            aside = np.zeros(len(samples), bool)
            for k in range(part.numerator):
                aside[chosen[(first + k) % part.denominator]] = True
            cost = _cost(labels, aside, fraction)
            if best is None or cost < best[0]:
                best = cost, aside
    assert best is not None
    kept = [s for s, is_aside in zip(samples, best[1], strict=True) if not is_aside]
    return kept, [s for s, is_aside in zip(samples, best[1], strict=True) if is_aside]


def group_share(samples: Sequence[Sample], fraction: float, *, seed: int) -> list[Sample]:
    """Whole groups with at least a part of every class.

    Args:
        samples: In any order: which are chosen depends on their names and groups alone.
        fraction: Of each class, in (0, 1].
        seed: Same seed, same samples: same part; a larger fraction holds that of a smaller one.

    Returns:
        Those chosen, in the order of ``samples``.
    """
    by_name = sorted(samples, key=lambda sample: sample.name)
    groups, labels = np.array(group_numbers(by_name)), labels_of(by_name)
    order = np.random.default_rng(seed).permutation(groups.max() + 1)[groups]
    chosen: set[int] = set()
    for label in np.unique(labels):
        members = np.flatnonzero(labels == label)
        in_turn = members[np.argsort(order[members], kind="stable")]
        chosen.update(groups[in_turn[: max(1, round(fraction * len(members)))]].tolist())
    names = {sample.name for sample, group in zip(by_name, groups.tolist(), strict=True) if group in chosen}
    return [sample for sample in samples if sample.name in names]


def one_sided(samples: Sequence[Sample], classes: Sequence[str]) -> str | None:
    """The classes of a single group, which cannot be on both sides of a split, for people; None without one."""
    if not are_grouped(samples):
        return None
    of_class: dict[int, set[int]] = {}
    for sample, group in zip(samples, group_numbers(samples), strict=True):
        if sample.label is not None:
            of_class.setdefault(sample.label, set()).add(group)
    single = [classes[label] for label, groups in sorted(of_class.items()) if len(groups) == 1]
    if not single:
        return None
    what = "a class of one group is" if len(single) == 1 else f"{len(single)} classes of one group each are"
    return f"{what} on one side of each split only: {some(single, 3)}"


def labels_of(samples: Sequence[Sample]) -> NDArray[np.int64]:
    """Labels int64 (N,), -1 for those without one."""
    return np.array([-1 if s.label is None else s.label for s in samples], np.int64)


def _largest_class(labels: NDArray[np.int64]) -> int:
    return int(np.unique(labels, return_counts=True)[1].max())


def _parts(fraction: float, *, most: int, every: bool) -> list[Fraction]:
    """The fraction as so many of at most ``MOST_FOLDS`` folds, a small one as one of as many as it takes.

    The nearest alone, or with it the nearest of every number up to ``TRIED_FOLDS``.
    """
    most = max(2, most)
    numbers = range(2, min(MOST_FOLDS, most) + 1)
    parts = {Fraction(min(max(1, round(fraction * n)), n - 1), n) for n in numbers}
    if fraction < 1 / MOST_FOLDS:
        parts.add(Fraction(1, min(most, round(1 / fraction))))
    ranked = sorted(parts, key=lambda part: (abs(part - Fraction(fraction)), part.denominator))
    return [part for part in ranked if part == ranked[0] or (every and part.denominator <= TRIED_FOLDS)]


def _cost(labels: NDArray[np.int64], aside: NDArray[np.bool_], fraction: float) -> tuple[float, ...]:
    """(1 if a side is empty, classes on one side only (worse if set aside), how far all and each class are off)."""
    classes, places = np.unique(labels, return_inverse=True)
    counts, taken = np.bincount(places), np.bincount(places, weights=aside, minlength=len(classes))
    lonely = int(np.sum(taken == 0)) + 2 * int(np.sum(taken == counts))
    off = abs(float(np.mean(aside)) - fraction) + float(np.mean(np.abs(taken / counts - fraction)))
    return (float(aside.all() or not aside.any()), lonely, off)


def _dealt(
    labels: NDArray[np.int64], groups: Sequence[int] | NDArray[np.int64], folds: int, seed: int, where: object
) -> list[tuple[NDArray[np.int64], NDArray[np.int64]]]:
    from sklearn.model_selection import StratifiedGroupKFold

    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # of classes with fewer images than folds
            return list(StratifiedGroupKFold(folds, shuffle=True, random_state=seed).split(labels, labels, groups))
    except ValueError as error:
        raise OptionError("these folds cannot be made", where=where, got=error) from None
