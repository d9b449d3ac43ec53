"""Writing a split as class folders of image files."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from pathlib import Path, PurePosixPath

from PIL import Image

from clsbench.datasets.dataset import Dataset, Sample
from clsbench.datasets.labels import class_folder
from clsbench.errors import DataError
from clsbench.images.entries import PixelsEntry
from clsbench.images.loader import read
from clsbench.output_files import check_folder, whole_file


def write_class_folders(dataset: Dataset, split: str, folder: Path) -> int:
    """Write ``folder/<class>/<name>`` for every labelled sample: files as they are, pixels as PNG.

    Of a name with the class folder in it, what comes below is kept, unless two samples would
    then share a file; other names are kept whole. No name leads out of ``folder``.

    Returns:
        How many images were written.

    Raises:
        DataError: if the dataset has no such split, the folder is not empty or cannot be written
            to, or two samples would be written to one file.
    """
    samples = dataset.samples(split)
    check_folder(folder, "the images")
    if folder.exists() and any(folder.iterdir()):
        raise DataError("the folder is not empty, and nothing is overwritten", where=folder)
    labelled = [(sample, dataset.classes[sample.label]) for sample in samples if sample.label is not None]
    for (sample, _), path in zip(labelled, _targets(labelled), strict=True):
        target = folder / path
        if target.exists():  # also where a file system takes A.png for a.png
            raise DataError("two images would be written to one file", where=target)
        content = read(sample.image)
        with whole_file(target, "the image", synced=False) as unfinished:
            if isinstance(content, bytes):
                unfinished.write_bytes(content)
            else:
                Image.fromarray(content).save(unfinished, "PNG")
    return len(labelled)


def _targets(labelled: Sequence[tuple[Sample, str]]) -> list[PurePosixPath]:
    """``<class>/<path>`` for each sample, the short path where it is unique."""
    full = [_inside(sample) for sample, _ in labelled]
    homes = [class_folder(name) for _, name in labelled]
    short = [
        PurePosixPath(*path.parts[path.parts.index(home) + 1 :]) if home in path.parts[:-1] else path
        for path, home in zip(full, homes, strict=True)
    ]
    used = Counter(zip(homes, short, strict=True))
    return [
        home / (path if used[home, path] == 1 else whole) for home, path, whole in zip(homes, short, full, strict=True)
    ]


def _inside(sample: Sample) -> PurePosixPath:
    """The name as a path that cannot leave the folder it is joined to; pixels end in .png."""
    ending = ".png" if isinstance(sample.image, PixelsEntry) and not sample.name.lower().endswith(".png") else ""
    return PurePosixPath(*(part for part in PurePosixPath(sample.name + ending).parts if part not in ("/", "//", "..")))
