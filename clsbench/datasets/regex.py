"""The ``regex`` dataset: the label stands in the file name, as in ``images/great_pyrenees_173.jpg``."""

from __future__ import annotations

import re
from pathlib import Path

from clsbench.datasets.dataset import Dataset, Sample
from clsbench.datasets.folder import existing_folder, skipped_note
from clsbench.datasets.splits import make_splits
from clsbench.errors import DataError, OptionError
from clsbench.images.listing import list_images
from clsbench.text import some


def build(
    root: Path | None,
    *,
    pattern: str = r"/([^/]+)_\d+\.[^.]+$",
    val_fraction: float | None = None,
    test_fraction: float | None = None,
    folds: int | None = None,
    fold: int | None = None,
    seed: int = 0,
) -> Dataset:
    """Read the images below a folder, labelled by a regular expression; names are relative to ``root``.

    Args:
        root: The folder; folders in it have no meaning but through the pattern.
        pattern: Searched in ``/`` + the relative path; its group ``label``, else its first group, is the
            label. The default takes what stands before the last number: ``beagle`` of ``beagle_12.jpg``.
        val_fraction: The part of each class set aside for validation; None for 0.2.
        test_fraction: The part of each class set aside as a test split; None for no test split.
        folds: Split train and val into this many folds instead.
        fold: The fold that is val, from 1.
        seed: Of the splits.

    Raises:
        DataError: if there is no such folder, no image, no name that matches, or fewer than two classes.
        OptionError: if the pattern is no regular expression with a group, or the split options
            contradict each other.
    """
    root, (search, group) = existing_folder(root, "regex"), _compile(pattern)
    listing = list_images(root)
    matches = ((name, search.search(f"/{name}")) for name in listing.names)
    labels = {name: match[group] if match else None for name, match in matches}
    without = [name for name, label in labels.items() if not label]
    classes = tuple(sorted({label for label in labels.values() if label}))
    if len(classes) < 2:
        raise DataError(
            "training needs at least two classes" if classes else "the pattern matches no file name",
            where=root,
            got=f"the label {classes[0]} alone, from {some(listing.names, 3)}" if classes else some(listing.names, 3),
            expected=f"names with a match of {pattern}",
            hint="give another one with --with data.pattern=REGEX; it is searched in / and the path",
        )
    index = {name: k for k, name in enumerate(classes)}
    samples = [Sample(name, f"{root}/{name}", index[label]) for name, label in labels.items() if label]
    splits, made = make_splits(
        {"train": samples},
        val_fraction=val_fraction,
        test_fraction=test_fraction,
        folds=folds,
        fold=fold,
        seed=seed,
        where=root,
    )
    left = [f"{len(without)} images whose name does not match are left out: {some(without, 3)}"] if without else []
    return Dataset(classes=classes, splits=splits, notes=(*left, *skipped_note(listing), *made), root=str(root))


def _compile(pattern: str) -> tuple[re.Pattern[str], str | int]:
    """The pattern, and the group that is the label."""
    where = "--with data.pattern"
    try:
        search = re.compile(pattern)
    except re.error as error:
        raise OptionError("the pattern is no regular expression", where=where, got=f"{pattern}: {error}") from None
    if not search.groups:
        raise OptionError(
            "the pattern has no group that could be the label",
            where=where,
            got=pattern,
            expected=r"parentheses around the label, such as /([^/]+)_\d+\.jpg$",
        )
    return search, "label" if "label" in search.groupindex else 1
