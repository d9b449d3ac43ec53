"""Rules for datasets: what splitting, training and evaluation rely on."""

from __future__ import annotations

import os
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

from clsbench.datasets.dataset import SPLITS, Dataset
from clsbench.errors import ClsbenchError
from clsbench.images.entries import Entry
from clsbench.options import option_types
from clsbench.testing import entry_rules
from clsbench.testing.component_rules import RULES as COMPONENT_RULES
from clsbench.testing.component_rules import check_built
from clsbench.testing.rules import NotChecked, Subject, require, rule
from clsbench.text import some

ROOT = "where the images of the dataset are (a folder, a file or a URL; none for one that needs no place)"


@rule("takes-its-arguments", "options-have-defaults")
def builds(subject: Subject) -> None:
    """``build(root)`` returns a :class:`clsbench.Dataset` with at least one image in ``train``."""
    built = _dataset(subject)
    check_built(subject, built)
    require(isinstance(built, Dataset), f"build returned {type(built).__name__}, not a clsbench.Dataset")
    require(built.splits.get("train"), "there is no image in the split train")


@rule("builds")
def splits_are_known(subject: Subject) -> None:
    """Splits are called train, val and test, and those that ``Component.gives`` names are there."""
    splits = _dataset(subject).splits
    odd = [name for name in splits if name not in SPLITS]
    require(not odd, f"splits that nothing reads: {some(odd)}")
    missing = [name for name in subject.component.gives if name not in splits] if subject.component else []
    require(not missing, f"Component.gives says {', '.join(missing)}, which the dataset does not have")


@rule("builds")
def names_are_unique(subject: Subject) -> None:
    """In a split, each image has a name of its own: predictions, splits and records go by it."""
    for split, samples in _dataset(subject).splits.items():
        entry_rules.check_names([sample.name for sample in samples], split)


@rule("builds", "names-are-unique")
def splits_are_disjoint(subject: Subject) -> None:
    """No image is in two splits, by its name or its file: a network would be judged on what it was trained on."""
    homes: dict[object, str] = {}
    for split, samples in _dataset(subject).splits.items():
        for sample in samples:
            path = getattr(sample.image, "path", None)
            for key in (sample.name, *([os.path.realpath(path)] if isinstance(path, str) else [])):
                other = homes.setdefault(key, split)
                require(other == split, f"{key} is in {other} and in {split}")


@rule("builds")
def labels_are_in_range(subject: Subject) -> None:
    """Each image has a label, an ``int`` (none of NumPy's) from 0 to the number of classes - 1."""
    built = _dataset(subject)
    for split, samples in built.splits.items():
        for sample in samples:
            right = isinstance(sample.label, int) and 0 <= sample.label < len(built.classes)
            wanted = f"expected an int from 0 to {len(built.classes) - 1}"
            require(right, f"{split}: {sample.name} has the label {sample.label!r}; {wanted}")


@rule("builds")
def classes_are_unique(subject: Subject) -> None:
    """At least two classes, with different names: they are matched by name, never by position."""
    classes = _dataset(subject).classes
    require(len(set(classes)) == len(classes) >= 2, f"the classes are {some(list(map(str, classes)))}")


@rule("builds")
def entries_are_stable(subject: Subject) -> None:
    """A second build has the same classes, and the same images with the same labels in the same order."""
    first, second = _dataset(subject), _fresh(subject)
    require(first.classes == second.classes, f"classes: {some(first.classes)}, then {some(second.classes)}")
    require(first.splits.keys() == second.splits.keys(), "the second build has other splits")
    for split, samples in first.splits.items():
        found, right = ([(s.name, s.label) for s in each] for each in (second.splits[split], samples))
        differ = next((pair for pair in zip(right, found, strict=False) if pair[0] != pair[1]), None)
        require(found == right, f"{split} differs from build to build: {differ or 'another number of images'}")


@rule("builds")
def images_can_be_read(subject: Subject) -> None:
    """The images (16 of them, spread evenly) are read and decoded as training does."""
    entry_rules.check_readable(_entries(subject))


@rule("builds", "images-can-be-read")
def entries_can_be_pickled(subject: Subject) -> None:
    """Entries go through pickle and read the same: other processes read them."""
    entry_rules.check_picklable(_entries(subject))


@rule("builds", "images-can-be-read")
def entries_can_be_read_by_threads(subject: Subject) -> None:
    """Entries read the same from four threads at once: that is how they are read."""
    entry_rules.check_threads(_entries(subject))


@rule("builds")
def a_missing_root_is_explained(subject: Subject) -> None:
    """A root that is not there is a ClsbenchError, which says what to do, and no download."""
    if not isinstance(subject.given("root", ROOT), Path):
        raise NotChecked("the root is no path")
    build = subject.component.build if subject.component else None
    offline = {"download": False} if build and "download" in option_types(build) else {}
    with TemporaryDirectory() as folder:
        try:
            subject.build(Path(folder) / "not-there", **offline)
        except ClsbenchError:
            return
    raise AssertionError("a root that is not there was no error")


def _dataset(subject: Subject) -> Dataset:
    built: Dataset = subject.fact("dataset", lambda: _fresh(subject))
    return built


def _fresh(subject: Subject) -> Any:
    return subject.build(subject.given("root", ROOT))


def _entries(subject: Subject) -> list[Entry]:
    return [sample.image for samples in _dataset(subject).splits.values() for sample in samples]


RULES = (
    *COMPONENT_RULES,
    builds,
    splits_are_known,
    names_are_unique,
    splits_are_disjoint,
    labels_are_in_range,
    classes_are_unique,
    entries_are_stable,
    images_can_be_read,
    entries_can_be_pickled,
    entries_can_be_read_by_threads,
    a_missing_root_is_explained,
)
