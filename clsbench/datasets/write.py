"""Writing a split as class folders of image files."""

from __future__ import annotations

import os
import stat
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path, PurePosixPath

from PIL import Image

from clsbench.datasets.dataset import Dataset, Sample
from clsbench.datasets.labels import class_folder
from clsbench.errors import DataError
from clsbench.images.entries import Entry, FileEntry, PixelsEntry
from clsbench.images.formats import sniff
from clsbench.images.loader import read
from clsbench.output_files import check_folder, whole_file


@dataclass(frozen=True)
class Written:
    """What was written.

    Args:
        images: How many.
        not_images: Names of samples that were left out, since they are no image files.
        outside: Names of those that were written and lie outside of the dataset's folder.
    """

    images: int
    not_images: tuple[str, ...] = ()
    outside: tuple[str, ...] = ()


def write_class_folders(dataset: Dataset, split: str, folder: Path) -> Written:
    """Write ``folder/<class>/<name>`` for every labelled sample: files as they are, pixels as PNG.

    Of a name with the class folder in it, what comes below is kept, unless two samples would
    then share a file; other names are kept whole. No name leads out of ``folder``. A table may name any
    file of the machine: only regular files that are images by their first bytes are written.

    Raises:
        DataError: if the dataset has no such split, the folder is not empty or cannot be written
            to, or two samples would be written to one file.
    """
    samples = dataset.samples(split)
    check_folder(folder, "the images")
    if folder.exists() and any(folder.iterdir()):
        raise DataError("the folder is not empty, and nothing is overwritten", where=folder)
    labelled = [(sample, dataset.classes[sample.label]) for sample in samples if sample.label is not None]
    root = _root(dataset)
    not_images, outside = [], []
    for (sample, _), path in zip(labelled, _targets(labelled), strict=True):
        if not _is_image(sample.image):
            not_images.append(sample.name)
            continue
        if root and not _is_below(sample.image, root):
            outside.append(sample.name)
        target = folder / path
        if os.path.lexists(target):  # also where a file system takes A.png for a.png
            raise DataError("two images would be written to one file", where=target)
        with whole_file(target, "the image", synced=False) as unfinished:
            write_content(sample.image, unfinished)
    return Written(len(labelled) - len(not_images), tuple(not_images), tuple(outside))


def write_content(entry: Entry, file: Path) -> None:
    """Write the content of an image: a file as it is, pixels as PNG.

    Raises:
        DataError: if it cannot be read.
        OSError: if it cannot be written.
    """
    content = read(entry)
    if isinstance(content, bytes):
        file.write_bytes(content)
    else:
        Image.fromarray(content).save(file, "PNG")


def inside(entry: Entry) -> PurePosixPath:
    """The name as a path that cannot leave the folder it is joined to; pixels end in .png."""
    ending = ".png" if isinstance(entry, PixelsEntry) and not entry.name.lower().endswith(".png") else ""
    parts = [part for part in PurePosixPath(entry.name + ending).parts if part not in ("/", "//", "..")]
    return PurePosixPath(*parts or ["image"])


def _targets(labelled: Sequence[tuple[Sample, str]]) -> list[PurePosixPath]:
    """``<class>/<path>`` for each sample, the short path where it is unique."""
    full = [inside(sample.image) for sample, _ in labelled]
    homes = [class_folder(name) for _, name in labelled]
    short = [
        PurePosixPath(*path.parts[path.parts.index(home) + 1 :]) if home in path.parts[:-1] else path
        for path, home in zip(full, homes, strict=True)
    ]
    used = Counter(zip(homes, short, strict=True))
    return [
        home / (path if used[home, path] == 1 else whole) for home, path, whole in zip(homes, short, full, strict=True)
    ]


def _is_image(entry: Entry) -> bool:
    """Whether an entry may be copied: what is no file is an image of the dataset; a file that is not there says so."""
    if not isinstance(entry, FileEntry):
        return True
    try:
        if not stat.S_ISREG(os.stat(entry.path).st_mode):
            return False
        with open(entry.path, "rb") as file:
            return sniff(file.read(16)) != "unknown" or Path(entry.path).suffix.lower() == ".tga"  # without a mark
    except (OSError, ValueError):
        return True


def _root(dataset: Dataset) -> str | None:
    """The folder of a dataset, or of its table, resolved; None where it has none."""
    if dataset.root is None or not os.path.exists(dataset.root):
        return None
    root = os.path.realpath(dataset.root)
    return root if os.path.isdir(root) else os.path.dirname(root)


def _is_below(entry: Entry, root: str) -> bool:
    path = os.path.realpath(entry.path) if isinstance(entry, FileEntry) else root
    return os.path.commonpath((root, path)) == root
