"""Writing a split as class folders of picture files."""

from __future__ import annotations

import shutil
from pathlib import Path

import numpy as np
from PIL import Image

from clsbench.datasets.dataset import Dataset
from clsbench.errors import DataError


def write_class_folders(dataset: Dataset, split: str, folder: Path) -> int:
    """Write ``folder/<class>/<name>`` for every labelled sample: files as they are, pixels as PNG.

    Returns:
        How many pictures were written.

    Raises:
        DataError: if the dataset has no such split, the folder is not empty, or two
            samples would be written to one file.
    """
    samples = dataset.samples(split)
    if folder.exists() and any(folder.iterdir()):
        raise DataError("the folder is not empty, and nothing is overwritten", where=folder)
    labelled = [(sample, dataset.classes[sample.label]) for sample in samples if sample.label is not None]
    for sample, name in labelled:
        target = folder / name / sample.name.removeprefix(f"{name}/")
        if isinstance(sample.image, np.ndarray):
            target = target.with_suffix(".png")
        if target.exists():
            raise DataError("two pictures would be written to one file", where=target)
        target.parent.mkdir(parents=True, exist_ok=True)
        if isinstance(sample.image, np.ndarray):
            Image.fromarray(sample.image).save(target)
        elif isinstance(sample.image, bytes):
            target.write_bytes(sample.image)
        else:
            shutil.copyfile(sample.image, target)
    return len(labelled)
