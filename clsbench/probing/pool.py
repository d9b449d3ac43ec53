"""The images that a probe judges, and the folds that are the same for every backbone."""

from __future__ import annotations

import warnings
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from clsbench.datasets.dataset import Dataset, Sample
from clsbench.datasets.splits import SplitSpec, share, stratified_split
from clsbench.errors import DataError, OptionError
from clsbench.text import counted, some


@dataclass(frozen=True)
class Pool:
    """Labelled images in folds.

    Args:
        classes: K names.
        samples: N labelled images.
        folds: int64 (N,): the fold in which an image is held out, from 0.
        mirrored: Whether a mirrored image still shows its class.
        notes: What was pooled and what was left out.
        warnings: What makes the figures worse than they could be.
    """

    classes: tuple[str, ...]
    samples: tuple[Sample, ...]
    folds: NDArray[np.int64]
    mirrored: bool
    notes: tuple[str, ...]
    warnings: tuple[str, ...]

    @property
    def labels(self) -> NDArray[np.int64]:
        """int64 (N,)."""
        return labels_of(self.samples)


def pool(dataset: Dataset, spec: SplitSpec, folds: int) -> Pool:
    """Put the images of train and val together and deal them into folds; the test split stays unseen.

    Args:
        dataset: With the splits that the data gives.
        spec: Its seed, test fraction and data fraction count.
        folds: How many, 2 or more.

    Raises:
        OptionError: if ``spec`` contradicts a given split, or no class has that many images.
        DataError: if there are no training images, or all are of one class.
    """
    spec.check_given(dataset.splits, where=dataset.root)
    given = dataset.splits
    kept, notes = [*dataset.samples("train"), *given.get("val", ())], [*dataset.notes]
    if "val" in given:
        notes.append("train and val are pooled for the folds")
    fraction = spec.test_fraction
    if fraction is None and "test" not in given:
        fraction = dataset.default_test_fraction
    aside = list(given.get("test", ()))
    if fraction is not None:
        kept, aside = stratified_split(kept, fraction, seed=spec.seed)
    if aside:
        notes.append(f"the test split is not used: {counted(len(aside), 'image')}")
    if spec.data_fraction is not None:
        total, kept = len(kept), share(kept, spec.data_fraction, seed=spec.seed)
        notes.append(f"{len(kept):,} of {counted(total, 'image')} (--data-fraction {spec.data_fraction:g})")
    samples = tuple(sample for sample in kept if sample.label is not None)
    labels = labels_of(samples)
    if len(np.unique(labels)) < 2:
        raise DataError("a probe needs labelled images of two classes or more", where=dataset.root)
    dealt = deal(labels, folds, spec.seed, where=dataset.root)
    return Pool(dataset.classes, samples, dealt, dataset.mirrored, tuple(notes), _short_classes(dataset, labels, folds))


def deal(labels: NDArray[np.int64], folds: int, seed: int, *, where: object = None) -> NDArray[np.int64]:
    """int64 (N,): the fold of each image, stratified and seeded, as ``train --folds`` deals them.

    Raises:
        OptionError: if no class has as many images as there are folds.
    """
    from sklearn.model_selection import StratifiedKFold

    dealt = np.zeros(len(labels), np.int64)
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # a class with fewer images than folds is told by the caller
            for fold, (_, chosen) in enumerate(
                StratifiedKFold(folds, shuffle=True, random_state=seed).split(labels, labels)
            ):
                dealt[chosen] = fold
    except ValueError:
        most = int(np.bincount(labels).max())
        raise OptionError(
            "there are more folds than images of any class", where=where, got=f"{folds} folds",
            expected=f"2 to {most}" if most > 1 else "two images of a class or more", hint="set --folds",
        ) from None  # fmt: skip
    return dealt


def labels_of(samples: Sequence[Sample]) -> NDArray[np.int64]:
    """int64 (N,); -1 without a label."""
    return np.array([-1 if sample.label is None else sample.label for sample in samples], np.int64)


def _short_classes(dataset: Dataset, labels: NDArray[np.int64], folds: int) -> tuple[str, ...]:
    counts = np.bincount(labels, minlength=len(dataset.classes))
    found = []
    if single := [name for name, count in zip(dataset.classes, counts, strict=True) if count == 1]:
        found.append(f"a class with one image is never learnt for it, so it counts as wrong: {some(single)}")
    if short := [name for name, count in zip(dataset.classes, counts, strict=True) if 1 < count < folds]:
        found.append(f"fewer images than the {folds} folds in {counted(len(short), 'class')}: {some(short)}")
    return tuple(found)
