"""Real images for the parity gate."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from clsbench.errors import ClsbenchError, DataError, PluginError
from clsbench.exporting.gate import GateImages
from clsbench.images.entries import Entry, PixelsEntry
from clsbench.images.loader import ImageLoader

#: How many images the gate compares: enough to meet every class of a usual run.
COUNT = 64


def load_evenly(
    loader: ImageLoader, entries: Sequence[Entry], labels: Sequence[int] | None = None, *, count: int = COUNT
) -> GateImages:
    """Up to ``count`` images spread evenly over ``entries``; unreadable ones are left out.

    Args:
        loader: Makes the network's pixels.
        entries: The images.
        labels: Of all of them, if they are known.
        count: How many images to take at most.

    Raises:
        DataError: if none can be read.
    """
    steps = np.unique(np.linspace(0, len(entries) - 1, min(count, len(entries))).round().astype(int))
    images, chosen, reason = [], [], ""
    for step in steps:
        try:
            images.append(loader(entries[step]))
            chosen.append(step)
        except PluginError:
            raise
        except ClsbenchError as error:
            reason = error.one_line()
    if not images:
        raise DataError(
            "none of the images for the gate can be read",
            got=reason or "no images",
            hint="name a folder of images with --images DIR",
        )
    return GateImages(np.stack(images), None if labels is None else np.array(labels, np.int64)[chosen])


def embedded_photos(*, count: int = COUNT) -> list[Entry]:
    """Crops of the two photos that scikit-learn ships, for a network without a run."""
    from sklearn.datasets import load_sample_images

    random = np.random.default_rng(0)
    crops: list[Entry] = []
    photos = load_sample_images().images
    for k in range(count):
        photo = photos[k % len(photos)]
        height, width = random.integers(200, photo.shape[0]), random.integers(200, photo.shape[1])
        top, left = random.integers(0, photo.shape[0] - height), random.integers(0, photo.shape[1] - width)
        pixels = np.ascontiguousarray(photo[top : top + height, left : left + width])
        crops.append(PixelsEntry(f"{k}.png", pixels))
    return crops
