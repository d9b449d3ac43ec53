"""The images that a probe judges, and the folds that are the same for every backbone."""

from __future__ import annotations

import dataclasses
import warnings
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from clsbench.datasets.dataset import Dataset, Sample
from clsbench.datasets.group_splits import group_split, labels_of
from clsbench.datasets.groups import are_grouped, group_numbers, with_groups
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
        groups: int64 (N,): images of one number are in one fold; None where there are no groups.
        mirrored: Whether a mirrored image still shows its class.
        notes: What was pooled and what was left out.
        warnings: What makes the figures worse than they could be.
    """

    classes: tuple[str, ...]
    samples: tuple[Sample, ...]
    folds: NDArray[np.int64]
    groups: NDArray[np.int64] | None
    mirrored: bool
    notes: tuple[str, ...]
    warnings: tuple[str, ...]

    @property
    def labels(self) -> NDArray[np.int64]:
        """int64 (N,)."""
        return labels_of(self.samples)

    def only(self, chosen: NDArray[np.bool_]) -> Pool:
        """The same with some of its images, bool (N,), in the folds that they are in."""
        samples = tuple(sample for sample, kept in zip(self.samples, chosen, strict=True) if kept)
        groups = None if self.groups is None else self.groups[chosen]
        return dataclasses.replace(self, samples=samples, folds=self.folds[chosen], groups=groups)


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
    dataset = with_groups(dataset, spec.group)
    given = dataset.splits
    kept, notes = [*dataset.samples("train"), *given.get("val", ())], [*dataset.notes]
    if given.get("val"):
        notes.append("train and val are pooled for the folds")
    fraction = spec.test_fraction
    if fraction is None and "test" not in given:
        fraction = dataset.default_test_fraction
    aside = list(given.get("test", ()))
    if fraction is not None:
        kept, aside = (group_split if are_grouped(kept) else stratified_split)(kept, fraction, seed=spec.seed)
    if aside:
        notes.append(f"the test split is not used: {counted(len(aside), 'image')}")
    if spec.data_fraction is not None:
        total, kept = len(kept), share(kept, spec.data_fraction, seed=spec.seed)
        notes.append(f"{len(kept):,} of {counted(total, 'image')} (--data-fraction {spec.data_fraction:g})")
    samples = tuple(sample for sample in kept if sample.label is not None)
    labels = labels_of(samples)
    if len(np.unique(labels)) < 2:
        raise DataError("a probe needs labelled images of two classes or more", where=dataset.root)
    groups = np.array(group_numbers(samples), np.int64) if are_grouped(samples) else None
    dealt = deal(labels, folds, spec.seed, groups=groups, where=dataset.root)
    found = _short_classes(dataset.classes, labels, folds)
    if groups is not None:
        found.append("images of one group are not independent: ranks may claim more than is shown")
    return Pool(dataset.classes, samples, dealt, groups, dataset.mirrored, tuple(notes), tuple(found))


def deal(
    labels: NDArray[np.int64],
    folds: int,
    seed: int,
    *,
    groups: NDArray[np.int64] | None = None,
    where: object = None,
) -> NDArray[np.int64]:
    """int64 (N,): the fold of each image, stratified and seeded, as ``train --folds`` deals them; groups stay whole.

    Raises:
        OptionError: if no class has as many images as there are folds, or there are fewer groups.
    """
    from sklearn.model_selection import StratifiedGroupKFold, StratifiedKFold

    kind = StratifiedKFold if groups is None else StratifiedGroupKFold
    dealt = np.zeros(len(labels), np.int64)
    most = int(np.bincount(labels).max()) if groups is None else len(np.unique(groups))
    if most < folds:
        unit = "images of any class" if groups is None else "groups"
        raise OptionError(
            f"there are more folds than {unit}", where=where, got=f"{folds} folds",
            expected=f"2 to {most}" if most > 1 else "two or more", hint="set --folds",
        )  # fmt: skip
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # a class with fewer images than folds is told by the caller
        parts = kind(folds, shuffle=True, random_state=seed).split(labels, labels, groups)
        for fold, (_, chosen) in enumerate(parts):
            dealt[chosen] = fold
    return dealt


def _short_classes(classes: Sequence[str], labels: NDArray[np.int64], folds: int) -> list[str]:
    counts = np.bincount(labels, minlength=len(classes))
    found = []
    if single := [name for name, count in zip(classes, counts, strict=True) if count == 1]:
        found.append(f"a class with one image has none to learn from when that is held out: {some(single)}")
    if short := [name for name, count in zip(classes, counts, strict=True) if 1 < count < folds]:
        found.append(f"fewer images than the {folds} folds in {counted(len(short), 'class')}: {some(short)}")
    return found
