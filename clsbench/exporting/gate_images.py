"""Real images for the gate."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from importlib.util import find_spec
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from clsbench.errors import OptionError
from clsbench.images.entries import Entry, PixelsEntry

#: How many images the gate compares by default.
COUNT = 256

#: How many crops there are for a network without a run.
CROPS = 64


@dataclass(frozen=True)
class GateImages:
    """Real images to compare two paths on.

    Args:
        entries: N encoded images.
        labels: int64 (N,), or None.
    """

    entries: Sequence[Entry]
    labels: NDArray[np.int64] | None = None

    def __len__(self) -> int:
        return len(self.entries)


def choose_evenly(entries: Sequence[Entry], labels: Sequence[int] | None = None, *, count: int = COUNT) -> GateImages:
    """Up to ``count`` images spread evenly over ``entries``, which are mostly sorted by class.

    Args:
        entries: The images.
        labels: Of all of them, if they are known.
        count: How many images to take at most.

    Raises:
        OptionError: if ``count`` is below 1.
    """
    if count < 1:
        raise OptionError("the gate needs images", where="--gate-n", got=count, expected="at least 1")
    chosen = spread(len(entries), count)
    known = None if labels is None else np.array(labels, np.int64)[chosen]
    return GateImages([entries[k] for k in chosen], known)


def spread(total: int, count: int) -> NDArray[np.int64]:
    """Up to ``count`` positions spread evenly over ``total``, the first and the last among them: int64 (n,)."""
    return np.unique(np.linspace(0, total - 1, min(count, total)).round().astype(np.int64))


def embedded_photos(*, count: int = CROPS) -> list[Entry]:
    """Crops of the two photos that scikit-learn ships, for a network without a run."""
    from PIL import Image

    random = np.random.default_rng(0)
    crops: list[Entry] = []
    photos = [np.asarray(Image.open(file)) for file in sorted(photos_folder().glob("*.jpg"))]
    for k in range(count):
        photo = photos[k % len(photos)]
        height, width = random.integers(200, photo.shape[0]), random.integers(200, photo.shape[1])
        top, left = random.integers(0, photo.shape[0] - height), random.integers(0, photo.shape[1] - width)
        pixels = np.ascontiguousarray(photo[top : top + height, left : left + width])
        crops.append(PixelsEntry(f"{k}.png", pixels))
    return crops


def photos_folder() -> Path:
    """Where scikit-learn keeps china.jpg and flower.jpg; found without importing it, which takes 2 s."""
    found = find_spec("sklearn")
    assert found, "scikit-learn is a dependency"
    return Path(str(found.origin)).parent / "datasets" / "images"
