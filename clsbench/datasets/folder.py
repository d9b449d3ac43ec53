"""The ``folder`` dataset: one folder a class, with or without split folders above.

photos/cat/1.jpg …  photos/dog/2.jpg …               split by --val-fraction
photos/train/cat/1.jpg …  photos/val/cat/3.jpg …     split as given
"""

from __future__ import annotations

from pathlib import Path

from clsbench.datasets.dataset import Dataset, Sample
from clsbench.datasets.splits import stratified_split
from clsbench.errors import DataError
from clsbench.images.listing import list_images

#: Folder names that mean a split.
SPLIT_FOLDERS = {"train": ("train", "training"), "val": ("val", "valid", "validation"), "test": ("test",)}


def build(root: Path | None, *, val_fraction: float = 0.2, seed: int = 0) -> Dataset:
    """Read labelled pictures from class folders.

    Args:
        root: The folder that holds the class folders, or ``train/`` and ``val/`` or ``test/``.
        val_fraction: The part of each class set aside where no split is given.
        seed: Of that split.

    Raises:
        DataError: if there is no such folder, no image, fewer than two classes, or a split
            with classes that ``train`` does not have.
    """
    if root is None:
        raise DataError(
            "the folder dataset needs a folder", hint="clsbench train PHOTOS, with one folder a class in it"
        )
    if not root.is_dir():
        raise DataError("there is no such folder", where=root)
    given = {
        split: next((root / name for name in names if (root / name).is_dir()), None)
        for split, names in SPLIT_FOLDERS.items()
    }
    train = given["train"]
    if train is not None and (given["val"] or given["test"]):
        return _given_splits(root, train, given["val"], given["test"])
    classes, samples, notes = _read(train or root)
    if train:
        notes.append(f"{root} has no val/ or test/ folder: part of {train.name}/ is set aside")
    kept, aside = stratified_split(samples, val_fraction, seed=seed)
    notes.append(f"validation: {len(aside)} images, {val_fraction:.0%} of each class, seed {seed}")
    return Dataset(classes=classes, splits={"train": kept, "val": aside}, notes=tuple(notes), root=str(root))


def _given_splits(root: Path, train: Path, val: Path | None, test: Path | None) -> Dataset:
    classes, samples, notes = _read(train)
    splits = {"train": samples}
    for split, folder in (("val", val), ("test", test)):
        if folder is not None:
            splits[split] = _read_known(folder, classes)
    if "val" not in splits:
        notes.append("there is no val/ folder: test/ serves as validation, so its accuracy is optimistic")
        splits["val"] = splits["test"]
    return Dataset(classes=classes, splits=splits, notes=tuple(notes), root=str(root))


def _read(folder: Path) -> tuple[tuple[str, ...], list[Sample], list[str]]:
    """Classes (sorted by name), samples, notes."""
    listing = list_images(folder)
    labelled = [name for name in listing.names if "/" in name]
    classes = tuple(sorted({name.split("/", 1)[0] for name in labelled}))
    if len(classes) < 2:
        raise DataError(
            "training needs at least two classes",
            where=folder,
            got=f"one class folder with images: {classes[0]}" if classes else "no class folder with images",
            expected="one folder a class, with its images inside",
        )
    notes = []
    if loose := len(listing.names) - len(labelled):
        notes.append(f"{loose} images lie outside of class folders and are left out")
    empty = sorted(
        entry.name
        for entry in folder.iterdir()
        if entry.is_dir() and not entry.name.startswith(".") and entry.name not in classes
    )
    if empty:
        notes.append(f"class folders without images are left out: {', '.join(empty)}")
    if listing.skipped:
        others = ", ".join(f"{n} {suffix}" for suffix, n in listing.skipped.most_common(5))
        notes.append(f"files that are no images by their suffix are left out: {others}")
    return classes, _samples(folder, labelled, classes), notes


def _read_known(folder: Path, classes: tuple[str, ...]) -> list[Sample]:
    labelled = [name for name in list_images(folder).names if "/" in name]
    strangers = sorted({name.split("/", 1)[0] for name in labelled} - set(classes))
    if strangers:
        raise DataError(
            "a split has classes that the training images do not have",
            where=folder,
            got=", ".join(strangers),
            expected=", ".join(classes[:20]),
            hint="rename the folders, or add training images of these classes",
        )
    return _samples(folder, labelled, classes)


def _samples(folder: Path, names: list[str], classes: tuple[str, ...]) -> list[Sample]:
    index = {name: k for k, name in enumerate(classes)}
    root = str(folder)
    return [Sample(name, f"{root}/{name}", index[name.split("/", 1)[0]]) for name in names]
