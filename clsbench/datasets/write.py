"""Writing a split as class folders of picture files."""

from __future__ import annotations

import shutil
from pathlib import Path

import numpy as np
from PIL import Image

from clsbench.datasets.dataset import Dataset
from clsbench.errors import DataError


def write_class_folders(dataset: Dataset, split: str, folder: Path) -> int:
    """Write ``folder/<class>/<name>`` for every sample: files as they are, pixels as PNG.

    Returns:
        How many pictures were written.

    Raises:
        DataError: if the dataset has no such split, or the folder is not empty.
    """
    samples = dataset.samples(split)
    if folder.exists() and any(folder.iterdir()):
        raise DataError("the folder is not empty, and nothing is overwritten", where=folder)
    for sample in samples:
        if sample.label is None:
            continue
        target = folder / dataset.classes[sample.label] / Path(sample.name).name
        target.parent.mkdir(parents=True, exist_ok=True)
        if isinstance(sample.image, np.ndarray):
            Image.fromarray(sample.image).save(target.with_suffix(".png"))
        elif isinstance(sample.image, bytes):
            target.write_bytes(sample.image)
        else:
            shutil.copyfile(sample.image, target)
    return len(samples)
