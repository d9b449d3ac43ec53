"""The ``folder`` dataset: one folder a class, with or without split and attribute folders above.

photos/cat/1.jpg …  photos/dog/2.jpg …               all of them train
photos/train/cat/1.jpg …  photos/val/cat/3.jpg …     the splits are given; Train/ and VAL/ mean the same
photos/colour/0/1.jpg …  photos/shape/0/1.jpg …      one attribute of several, by --with data.attribute=colour;
                                                     split folders above or below it
"""

from __future__ import annotations

import shlex
from collections import defaultdict
from collections.abc import Sequence
from pathlib import Path

from clsbench.datasets.dataset import Dataset, Sample
from clsbench.datasets.file_name_labels import PATTERN, likely_labels
from clsbench.datasets.image_tree import ImageTree, open_tree
from clsbench.datasets.splits import SPLIT_WORDS, check_known_classes
from clsbench.errors import DataError
from clsbench.images.entries import Entry
from clsbench.images.sources.source import count_suffixes, damage_notes, skipped_notes
from clsbench.text import counted, some

#: An image, and its path below the folder of its split: ``cat/1.jpg``.
Labelled = tuple[Entry, str]


def folder_dataset(root: Path | str | None, *, attribute: str | None = None) -> Dataset:
    """Read labelled images from class folders; names are relative to ``root``.

    Args:
        root: The folder, archive or URL that holds the class folders, or ``train/`` and perhaps ``val/`` and ``test/``.
            In an archive all of it may lie in one more folder.
        attribute: The folder above the class folders, where there is one for each of several attributes.

    Raises:
        DataError: if there is no such folder or attribute, no image, fewer than two classes, or
            a split with classes that ``train`` does not have.
    """
    tree = open_tree(root, "folder")
    folders, notes = _find_splits(tree, tree.top) if attribute is None else _find_attribute(tree, attribute)
    labelled: dict[str, list[Labelled]] = {}
    for split, folder in folders.items():
        labelled[split], more = _labelled(tree, folder)
        notes += more
    if not labelled["train"]:
        raise _unlabelled(tree, folders["train"])
    classes, more = _classes(tree, folders["train"], labelled["train"])
    notes += more if attribute is None else []
    splits = {split: _samples(tree, folder, labelled[split], classes) for split, folder in folders.items()}
    return Dataset(classes=classes, splits=splits, notes=tuple(notes), root=tree.location)


#: As components are built.
build = folder_dataset


def _find_splits(tree: ImageTree, base: str) -> tuple[dict[str, str], list[str]]:
    """Split -> the folder that holds its class folders; the whole is ``train`` where none is split."""
    found = _split_folders(tree, base)
    others = sorted({f"{base}{name}/" for name in tree.folders(base)} - set(found.values()))
    names = [folder.removeprefix(base) for folder in found.values()]
    if "train" in found:
        beside = ", ".join(other.removeprefix(base).rstrip("/") for other in others)
        train = found["train"].removeprefix(base)
        return found, [f"folders beside {train} are left out: {beside}"] if others else []
    if found and not others:
        raise DataError(
            "there is no folder of training images",
            where=tree.where(base),
            got=", ".join(names),
            expected="train/ beside them",
        )
    return {"train": base}, []


def _find_attribute(tree: ImageTree, attribute: str) -> tuple[dict[str, str], list[str]]:
    """The same for the class folders of one attribute."""
    splits = _split_folders(tree, tree.top)
    above = [name for name in _attributes(tree, tree.top) if f"{tree.top}{name}/" not in splits.values()]
    if attribute in above:
        return _find_splits(tree, f"{tree.top}{attribute}/")
    below = _attributes(tree, splits["train"]) if "train" in splits else []
    if attribute not in below:
        raise DataError(
            f"there is no attribute '{attribute}'",
            where=tree.where(tree.top),
            got=", ".join(sorted({*above, *below})) or "no folder that holds class folders",
            expected="a folder with one folder a class in it",
        )
    found = {split: f"{folder}{attribute}/" for split, folder in splits.items() if attribute in tree.folders(folder)}
    return found, [
        f"{folder.removeprefix(tree.top)} is left out: it has no folder {attribute}/"
        for split, folder in splits.items()
        if split not in found
    ]


def _split_folders(tree: ImageTree, base: str) -> dict[str, str]:
    """Split -> its folder, in any case of letters. One without folders in it is none: a class may be called train.

    Raises:
        DataError: if two names differ only by case, such as ``train`` and ``Train``.
    """
    by_word: dict[str, list[str]] = defaultdict(list)
    for name in tree.folders(base):
        by_word[name.lower()].append(name)
    splits = {}
    for split, words in SPLIT_WORDS.items():
        matches = ([name for name in by_word[word] if tree.folders(f"{base}{name}/")] for word in words)
        found = [named for named in matches if named]
        if found and len(found[0]) > 1:
            raise DataError(
                f"two folders could be the {split} split",
                where=tree.where(base),
                got=" and ".join(f"{name}/" for name in found[0]),
                expected="one of them",
                hint="move the images into one folder, or rename the other",
            )
        if found:
            splits[split] = f"{base}{found[0][0]}/"
    return splits


def _attributes(tree: ImageTree, folder: str) -> list[str]:
    return [name for name in tree.folders(folder) if tree.folders(f"{folder}{name}/")]


def _labelled(tree: ImageTree, folder: str) -> tuple[list[Labelled], list[str]]:
    """(the images in class folders, notes)."""
    paths, skipped = tree.images(folder), tree.skipped(folder)
    if not paths:
        others = count_suffixes([one.name for one in skipped if not one.name.endswith("/")])
        got = f"only other files ({others})" if others else "no files"
        raise DataError("there are no images in the folder", where=tree.where(folder), got=got)
    labelled = [(entry, path) for entry, path in paths if "/" in path]
    notes = []
    if loose := len(paths) - len(labelled):
        notes.append(f"left out, not in a class folder: {counted(loose, 'image')}")
    if empty := sorted(set(tree.folders(folder)) - {path.split("/", 1)[0] for _, path in labelled}):
        notes.append(f"class folders without images are left out: {', '.join(empty)}")
    notes += [*damage_notes(skipped), *skipped_notes(skipped)]
    return labelled, [f"{folder}: {note}" if folder else note for note in notes]


def _unlabelled(tree: ImageTree, folder: str) -> DataError:
    """No image is in a class folder; where the file names look like labels, how to use them."""
    names, hint = [path for _, path in tree.images(folder)], None
    if found := likely_labels(names):
        pattern, labels = found
        option = "" if pattern == PATTERN else f" {shlex.join(['--with', f'data.pattern={pattern}'])}"
        hint = f"if the file names hold the labels ({some(labels, 3)}), add --dataset regex{option}"
    return DataError(
        "training needs at least two classes", where=tree.where(folder),
        got=f"{counted(len(names), 'image')} in no class folder" if names else "no images",
        expected="one folder a class, with its images inside", hint=hint,
    )  # fmt: skip


def _classes(tree: ImageTree, folder: str, labelled: Sequence[Labelled]) -> tuple[tuple[str, ...], list[str]]:
    """Classes (sorted by name), and a note where images lie deeper, or the folders look like attributes."""
    below: dict[str, set[str]] = defaultdict(set)
    for _, path in labelled:
        top, _, rest = path.partition("/")
        below[top].add(rest.partition("/")[0] if "/" in rest else "")  # "" for an image directly in it
    classes = tuple(sorted(below))
    first = below[classes[0]]
    nested = "" not in first and len(first) >= 2 and all(below[name] == first for name in classes)
    option = f"--with data.attribute={classes[0]}" if nested else ""
    if len(classes) < 2:
        raise DataError(
            "training needs at least two classes",
            where=tree.where(folder),
            got=f"one class folder with images: {classes[0]}",
            expected="one folder a class, with its images inside",
            hint=f"if the classes are the folders in {classes[0]}/, add {option}" if nested else None,
        )
    if not nested:
        deeper = [path for _, path in labelled if path.count("/") > 1]
        return classes, [
            f"{counted(len(deeper), 'image')} in deeper folders {'has' if len(deeper) == 1 else 'have'} "
            f"the class of the topmost one, such as {deeper[0]}"
        ] if deeper else []
    return classes, [
        f"each of the {len(classes)} class folders holds the same folders ({', '.join(sorted(first)[:5])}): "
        f"if these are the classes of several attributes, choose one, such as {option}"
    ]


def _samples(tree: ImageTree, folder: str, labelled: Sequence[Labelled], classes: Sequence[str]) -> list[Sample]:
    index = {name: k for k, name in enumerate(classes)}
    tops = [path.split("/", 1)[0] for _, path in labelled]
    check_known_classes(tops, classes, where=tree.where(folder))
    return [Sample(entry, index[top]) for (entry, _), top in zip(labelled, tops, strict=True)]
