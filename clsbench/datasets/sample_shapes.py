"""What the images of a dataset are like: their sizes, channels and formats."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np

from clsbench.datasets.dataset import Dataset
from clsbench.errors import DataError
from clsbench.images.shapes import read_shape

#: How many images are looked at, evenly over all splits: opening 60,000 files takes long on a slow disk.
LOOKED_AT = 500


@dataclass(frozen=True, kw_only=True)
class Extent:
    """The smallest, the middle and the largest of many lengths, in pixels."""

    min: int
    median: float
    max: int


@dataclass(frozen=True, kw_only=True)
class SampleShapes:
    """Shapes of a dataset's images as they are stored.

    Args:
        total: Images in all splits.
        looked_at: How many of them were looked at.
        unreadable: How many of these have no readable header.
        width, height: None if none could be read.
        modes: Pillow's word for the channels -> images.
        formats: Format -> images.
    """

    total: int
    looked_at: int
    unreadable: int
    width: Extent | None
    height: Extent | None
    modes: Mapping[str, int]
    formats: Mapping[str, int]

    def to_json(self) -> dict[str, Any]:
        """Plain values."""
        return asdict(self)


def sample_shapes(dataset: Dataset, *, count: int = LOOKED_AT) -> SampleShapes:
    """Look at the headers of up to ``count`` images spread evenly over a dataset."""
    samples = [sample for split in dataset.splits.values() for sample in split]
    steps = np.unique(np.linspace(0, len(samples) - 1, min(count, len(samples))).round().astype(int))
    shapes = []
    for step in steps:
        try:
            shapes.append(read_shape(samples[step].image))
        except DataError:
            continue
    return SampleShapes(
        total=len(samples),
        looked_at=len(steps),
        unreadable=len(steps) - len(shapes),
        width=_extent([shape.width for shape in shapes]),
        height=_extent([shape.height for shape in shapes]),
        modes=dict(Counter(shape.mode for shape in shapes).most_common()),
        formats=dict(Counter(shape.form for shape in shapes).most_common()),
    )


def _extent(lengths: Sequence[int]) -> Extent | None:
    if not lengths:
        return None
    return Extent(min=min(lengths), median=float(np.median(lengths)), max=max(lengths))
