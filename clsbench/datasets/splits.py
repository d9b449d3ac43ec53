"""Splitting samples: given splits kept, others made; seeded, stratified, the same on every machine."""

from __future__ import annotations

import dataclasses
import warnings
from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from clsbench.datasets import MAX_SEED
from clsbench.datasets.dataset import Dataset, Sample
from clsbench.datasets.group_splits import group_folds, group_share, group_split, labels_of, one_sided
from clsbench.datasets.groups import are_grouped, group_numbers, with_groups
from clsbench.errors import DataError, OptionError
from clsbench.text import counted

#: Folder names, and words of a CSV file, that mean a split.
SPLIT_WORDS = {"train": ("train", "training"), "val": ("val", "valid", "validation"), "test": ("test",)}

#: The part of each class set aside for validation where nothing else is asked for.
VAL_FRACTION = 0.2


@dataclass(frozen=True, kw_only=True)
class SplitSpec:
    """How to split a dataset beyond the splits that it gives.

    Args:
        val_fraction: The part of each class of train that becomes the validation split; None
            for 0.2 where the data gives no such split.
        test_fraction: The part of each class of train that becomes the test split; None for
            what the data gives, or its default.
        folds: k of k-fold cross-validation, over train and a given validation split.
        fold: Which of them validates: 1 to k.
        data_fraction: The part of each class of the train split to train on, in (0, 1]; None for all of it.
        group: The column or regular expression that says which images belong together, on one side of every split;
            see :func:`~clsbench.datasets.groups.with_groups`.
        seed: Same seed, same samples: same splits; at most ``MAX_SEED``.

    Raises:
        OptionError: if a value is out of range, or two of them contradict each other.
    """

    val_fraction: float | None = None
    test_fraction: float | None = None
    folds: int | None = None
    fold: int | None = None
    data_fraction: float | None = None
    group: str | None = None
    seed: int = 0

    def __post_init__(self) -> None:
        for fraction in (self.val_fraction, self.test_fraction):
            if fraction is not None and not 0 < fraction < 1:
                raise OptionError("a split needs a fraction between 0 and 1", got=fraction, expected="for example 0.2")
        if self.data_fraction is not None and not 0 < self.data_fraction <= 1:
            raise OptionError(
                "the fraction of training images is out of range",
                where="--data-fraction", got=self.data_fraction, expected="above 0, at most 1",
            )  # fmt: skip
        if not 0 <= self.seed <= MAX_SEED:
            raise OptionError("the seed is out of range", got=self.seed, expected=f"0 to {MAX_SEED}")
        folds, fold = self.folds, self.fold
        if folds is None or fold is None:
            if folds is not fold:
                raise OptionError(
                    "--folds and --fold belong together",
                    got=f"--fold {fold}" if folds is None else f"--folds {folds}",
                    expected="for example --folds 5 --fold 1",
                )
            return
        if not (folds >= 2 and 1 <= fold <= folds):
            raise OptionError(
                "there is no such fold", got=f"fold {fold} of {folds}", expected="2 folds or more, from 1 on"
            )
        if self.val_fraction is not None:
            raise OptionError(
                "with folds, the size of the validation split follows from their number",
                got=f"--val-fraction {self.val_fraction:g} and --folds {folds}",
                hint="leave one of them out",
            )

    def check_given(self, given: Collection[str], *, where: object = None) -> None:
        """Refuse a fraction for a split that the data ``where`` gives; possible before a download.

        Raises:
            OptionError: naming the option.
        """
        for split, fraction in (("val", self.val_fraction), ("test", self.test_fraction)):
            if fraction is not None and split in given:
                raise OptionError(
                    f"the data has a {split} split of its own",
                    where=where,
                    got=f"--{split}-fraction {fraction:g}",
                    hint=f"leave --{split}-fraction out",
                )

    def to_json(self) -> dict[str, Any]:
        """The seed and what is not None, for JSON."""
        others = {name: value for name, value in dataclasses.asdict(self).items() if value is not None}
        return {"seed": self.seed, **others}

    @classmethod
    def from_json(cls, values: Mapping[str, Any]) -> SplitSpec:
        """The inverse of :meth:`to_json`; other keys are passed over."""
        return cls(**{field.name: values[field.name] for field in dataclasses.fields(cls) if field.name in values})


def split(dataset: Dataset, spec: SplitSpec) -> Dataset:
    """The dataset with train, val and, where given or asked for, test.

    The test split is taken away first. With folds, train and a given val are pooled.

    Args:
        dataset: With the splits that the data gives.
        spec: An option of it is used or refused, never dropped.

    Returns:
        The same samples in new splits, with notes that say how they were made.

    Raises:
        OptionError: if an option contradicts a given split, or the folds cannot be made.
        DataError: if there are no training images.
    """
    where, seed = dataset.root, spec.seed
    spec.check_given(dataset.splits, where=where)
    dataset = with_groups(dataset, spec.group)
    given = dataset.splits
    train, notes = list(dataset.samples("train")), []
    if spec.folds is not None and "val" in given:
        train += given["val"]
        notes.append("train and the given validation split are pooled for the folds")
    source = "train and val" if notes else "train"
    test_fraction = spec.test_fraction
    if test_fraction is None and "test" not in given:
        test_fraction = dataset.default_test_fraction
    test = list(given["test"]) if "test" in given else None
    if test_fraction is not None:
        (train, test), aside = _set_aside(train, test_fraction, source, seed)
        notes.append(f"test: {aside}")
    if spec.folds is not None and spec.fold is not None:
        total = len(train)
        train, val, more = _one_fold(train, spec.folds, spec.fold, seed, where)
        notes.append(
            f"validation: fold {spec.fold} of {spec.folds}, {len(val)} of {counted(total, 'image')}, stratified, "
            f"seed {seed}"
        )
        notes += more
    elif "val" in given:
        val = list(given["val"])
    else:
        fraction = VAL_FRACTION if spec.val_fraction is None else spec.val_fraction
        rest = "train without test" if test_fraction is not None else "train"
        (train, val), aside = _set_aside(train, fraction, rest, seed)
        notes.append(f"validation: {aside}")
    if notes and (lonely := one_sided(given["train"], dataset.classes)):
        notes.append(lonely)
    if spec.data_fraction is not None:
        total, train = len(train), share(train, spec.data_fraction, seed=seed)
        part = f"{100 * spec.data_fraction:g}% of each class, seed {seed}"
        notes.append(f"train: {len(train)} of {counted(total, 'image')}, {part} (--data-fraction)")
    splits = {"train": train, "val": val} | ({} if test is None else {"test": test})
    return dataclasses.replace(dataset, splits=splits, notes=(*dataset.notes, *notes))


def _set_aside(
    samples: list[Sample], fraction: float, source: str, seed: int
) -> tuple[tuple[list[Sample], list[Sample]], str]:
    """((kept, set aside), what was set aside for people)."""
    if not are_grouped(samples):
        kept, aside = stratified_split(samples, fraction, seed=seed)
        of = f"{100 * fraction:g}% of each class of {source}"
        return (kept, aside), f"{counted(len(aside), 'image')}, {of}, seed {seed}"
    kept, aside = group_split(samples, fraction, seed=seed)
    groups = f"{counted(len(aside), 'image')} in {_groups_of(aside, samples)}"
    got = f"{len(aside) / len(samples):.1%} of {source} where {100 * fraction:g}% were asked for"
    return (kept, aside), f"{groups}, {got}, seed {seed}"


def _groups_of(some: Sequence[Sample], samples: Sequence[Sample]) -> str:
    return f"{len(set(group_numbers(some))):,} of {counted(len(set(group_numbers(samples))), 'group')}"


def _one_fold(
    samples: list[Sample], folds: int, fold: int, seed: int, where: object
) -> tuple[list[Sample], list[Sample], list[str]]:
    """(the other folds, the fold, notes)."""
    from sklearn.model_selection import StratifiedKFold

    labels, notes = labels_of(samples), []
    if are_grouped(samples):
        others, chosen = group_folds(samples, folds, seed=seed, where=where)[fold - 1]
        notes.append(f"the fold has {_groups_of([samples[i] for i in chosen], samples)}")
    else:
        try:
            with warnings.catch_warnings(record=True) as caught:
                warnings.simplefilter("always")
                parts = list(StratifiedKFold(folds, shuffle=True, random_state=seed).split(labels, labels))
        except ValueError as error:
            raise OptionError("these folds cannot be made", where=where, got=error) from None
        others, chosen = parts[fold - 1]
        notes += [f"some folds lack a class: {warning.message}" for warning in caught]
    return [samples[i] for i in others], [samples[i] for i in chosen], notes


def stratified_split(samples: Sequence[Sample], fraction: float, *, seed: int) -> tuple[list[Sample], list[Sample]]:
    """Set a fraction of every class aside.

    A class of two or more samples is on both sides; a single one stays in the first.

    Args:
        samples: In a stable order.
        fraction: Of each class to set aside, in (0, 1).
        seed: Same seed, same samples: same split.

    Returns:
        (kept, set aside), both in the order of ``samples``.
    """
    random = np.random.default_rng(seed)
    labels = labels_of(samples)
    aside = np.zeros(len(samples), dtype=bool)
    for label in np.unique(labels):
        members = random.permutation(np.flatnonzero(labels == label))
        wanted = min(max(round(fraction * len(members)), 1), len(members) - 1)
        aside[members[:wanted]] = True
    kept = [s for s, is_aside in zip(samples, aside, strict=True) if not is_aside]
    return kept, [s for s, is_aside in zip(samples, aside, strict=True) if is_aside]


def share(samples: Sequence[Sample], fraction: float, *, seed: int) -> list[Sample]:
    """A part of every class, at least one sample of each.

    Args:
        samples: In any order: which are chosen depends on their names alone.
        fraction: Of each class, in (0, 1].
        seed: Same seed, same samples: same part; a larger fraction holds that of a smaller one.

    Returns:
        Those chosen, whole groups where they have groups, in the order of ``samples``.
    """
    if are_grouped(samples):
        return group_share(samples, fraction, seed=seed)
    random = np.random.default_rng(seed)
    by_name = sorted(range(len(samples)), key=lambda k: samples[k].name)
    labels = labels_of([samples[k] for k in by_name])
    chosen: set[int] = set()
    for label in np.unique(labels):
        members = random.permutation(np.flatnonzero(labels == label))
        chosen.update(by_name[k] for k in members[: max(1, round(fraction * len(members)))])
    return [sample for k, sample in enumerate(samples) if k in chosen]


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
            code="CB-L004",
        )
