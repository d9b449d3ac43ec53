"""Splitting samples: given splits kept, others made; seeded, stratified, the same on every machine."""

from __future__ import annotations

import warnings
from collections.abc import Collection, Iterable, Mapping, Sequence

import numpy as np
from numpy.typing import NDArray

from clsbench.datasets.dataset import Sample
from clsbench.errors import DataError, OptionError

#: Folder names, and words of a CSV file, that mean a split.
SPLIT_WORDS = {"train": ("train", "training"), "val": ("val", "valid", "validation"), "test": ("test",)}

#: The part of each class set aside for validation where nothing else is asked for.
VAL_FRACTION = 0.2


def make_splits(
    given: Mapping[str, Sequence[Sample]],
    *,
    val_fraction: float | None,
    test_fraction: float | None,
    folds: int | None,
    fold: int | None,
    seed: int,
    where: object = None,
) -> tuple[dict[str, list[Sample]], list[str]]:
    """Train, val and, where given or asked for, test: an option is used or refused, never dropped.

    The test split is taken away first. With folds, train and a given val are pooled.

    Args:
        given: ``train``, and ``val`` and ``test`` where the data has them.
        val_fraction: Of each class of train; None for 0.2 where no val is given.
        test_fraction: Of each class of train; None for no more test than is given.
        folds: k of k-fold cross-validation.
        fold: Which of them is val: 1 to k.
        seed: Same seed, same samples: same splits.
        where: The data, for messages.

    Returns:
        (splits, notes in plain words on what was split how).

    Raises:
        OptionError: if an option contradicts another one or the data, or is out of range.
    """
    check_split_options(
        given, val_fraction=val_fraction, test_fraction=test_fraction, folds=folds, fold=fold, where=where
    )
    train, notes = list(given["train"]), []
    if folds is not None and "val" in given:
        train += given["val"]
        notes.append("train and the given validation split are pooled for the folds")
    source = "train and val" if notes else "train"
    test = list(given["test"]) if "test" in given else None
    if test_fraction is not None:
        train, test = stratified_split(train, test_fraction, seed=seed)
        notes.append(f"test: {len(test)} images, {_percent(test_fraction)} of each class of {source}, seed {seed}")
    if folds is not None and fold is not None:
        total = len(train)
        train, val, more = _one_fold(train, folds, fold, seed, where)
        notes.append(f"validation: fold {fold} of {folds}, {len(val)} of {total} images, stratified, seed {seed}")
        notes += more
    elif "val" in given:
        val = list(given["val"])
    else:
        fraction = VAL_FRACTION if val_fraction is None else val_fraction
        train, val = stratified_split(train, fraction, seed=seed)
        rest = "train without test" if test_fraction is not None else "train"
        notes.append(f"validation: {len(val)} images, {_percent(fraction)} of each class of {rest}, seed {seed}")
    return {"train": train, "val": val} | ({} if test is None else {"test": test}), notes


def check_split_options(
    given: Collection[str],
    *,
    val_fraction: float | None,
    test_fraction: float | None,
    folds: int | None,
    fold: int | None,
    where: object = None,
) -> None:
    """Refuse options that contradict each other or the given splits, before those are read.

    Raises:
        OptionError: as :func:`make_splits`, whose arguments these are.
    """
    if (folds is None) != (fold is None):
        raise OptionError(
            "--folds and --fold belong together",
            got=f"--fold {fold}" if folds is None else f"--folds {folds}",
            expected="for example --folds 5 --fold 1",
        )
    if folds is not None and fold is not None and not (folds >= 2 and 1 <= fold <= folds):
        raise OptionError("there is no such fold", got=f"fold {fold} of {folds}", expected="2 folds or more, from 1 on")
    if folds is not None and val_fraction is not None:
        raise OptionError(
            "with folds, the size of the validation split follows from their number",
            got=f"--val-fraction {val_fraction:g} and --folds {folds}",
            hint="leave one of them out",
        )
    for split, fraction in (("val", val_fraction), ("test", test_fraction)):
        if fraction is not None and split in given:
            raise OptionError(
                f"the data has a {split} split of its own, so none can be set aside",
                where=where,
                got=f"--{split}-fraction {fraction:g}",
                hint=f"leave --{split}-fraction out",
            )


def _one_fold(
    samples: list[Sample], folds: int, fold: int, seed: int, where: object
) -> tuple[list[Sample], list[Sample], list[str]]:
    """(the other folds, the fold, notes)."""
    from sklearn.model_selection import StratifiedKFold

    labels = _labels(samples)
    try:
        with warnings.catch_warnings(record=True) as caught:
            warnings.simplefilter("always")
            parts = list(StratifiedKFold(folds, shuffle=True, random_state=seed).split(labels, labels))
    except ValueError as error:
        raise OptionError("these folds cannot be made", where=where, got=error) from None
    others, chosen = parts[fold - 1]
    notes = [f"some folds lack a class: {warning.message}" for warning in caught]
    return [samples[i] for i in others], [samples[i] for i in chosen], notes


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
        OptionError: if the fraction is not in (0, 1), or the seed is negative.
    """
    if not 0 < fraction < 1:
        raise OptionError("a split needs a fraction between 0 and 1", got=fraction, expected="for example 0.2")
    if seed < 0:
        raise OptionError("a seed must be 0 or more", got=seed)
    random = np.random.default_rng(seed)
    labels = _labels(samples)
    aside = np.zeros(len(samples), dtype=bool)
    for label in np.unique(labels):
        members = random.permutation(np.flatnonzero(labels == label))
        wanted = min(max(round(fraction * len(members)), 1), len(members) - 1)
        aside[members[:wanted]] = True
    kept = [s for s, is_aside in zip(samples, aside, strict=True) if not is_aside]
    return kept, [s for s, is_aside in zip(samples, aside, strict=True) if is_aside]


def check_known_classes(found: Iterable[str], classes: Sequence[str], *, where: object) -> None:
    """Refuse a split with classes that the training images do not have.

    Raises:
        DataError: naming them.
    """
    if strangers := sorted(set(found) - set(classes)):
        raise DataError(
            "a split has classes that the training images do not have",
            where=where,
            got=", ".join(strangers[:20]),
            expected=", ".join(classes[:20]),
            hint="rename them, or add training images of these classes",
        )


def _labels(samples: Sequence[Sample]) -> NDArray[np.int64]:
    return np.array([-1 if s.label is None else s.label for s in samples], np.int64)


def _percent(fraction: float) -> str:
    return f"{100 * fraction:g}%"
