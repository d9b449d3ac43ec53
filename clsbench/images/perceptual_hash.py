"""Perceptual hashes: 256 bits of what an image shows, which survive saving and resizing it again.

Source: pHash as the library imagehash has it (``phash`` with ``hash_size=16, highfreq_factor=2``): the 16 × 16 lowest
frequencies of a cosine transform of the grey image, each above their median or not. A test compares the two. Here it is
of many images at once: one by one a hash would take a fifth of the time that reading a photo takes.
"""

from __future__ import annotations

from functools import cache

import numpy as np
from numpy.typing import NDArray

from clsbench.images.resize import resize
from clsbench.transform import Geometry

#: The side of what is hashed, and the bits in each direction.
THUMBNAIL, SIDE = 32, 16

#: Words of a hash: the first holds the 8 × 8 lowest frequencies.
WORDS = SIDE * SIDE // 64

#: Luma of R, G and B, ITU-R BT.601, as Pillow has it.
LUMA = (0.299, 0.587, 0.114)


def thumbnail(pixels: NDArray[np.uint8], box: tuple[float, float, float, float]) -> NDArray[np.uint8]:
    """What is hashed of an image: uint8 (32, 32, 3).

    Args:
        pixels: uint8 (H, W, 3).
        box: The part to look at: left, top, right, bottom as fractions of the sides.
    """
    height, width = pixels.shape[:2]
    left, top, right, bottom = (min(max(part, 0.0), 1.0) for part in box)
    part = (left * width, top * height, right * width, bottom * height)
    return resize(pixels, Geometry(part, (THUMBNAIL, THUMBNAIL)), "bilinear")


def perceptual_hashes(thumbnails: NDArray[np.uint8]) -> NDArray[np.uint64]:
    """The hashes uint64 (n, 4) of thumbnails uint8 (n, 32, 32, 3)."""
    from scipy.fft import dctn

    grey = np.rint(thumbnails.astype(np.float32) @ np.array(LUMA, np.float32))
    lowest = dctn(grey, axes=(1, 2))[:, :SIDE, :SIDE].reshape(len(grey), SIDE * SIDE)
    bits = lowest > np.median(lowest, axis=1, keepdims=True)
    return np.ascontiguousarray(np.packbits(bits[:, _order()], axis=1)).view(np.uint64)


@cache
def _order() -> NDArray[np.int64]:
    """The bits of the 8 × 8 lowest frequencies first."""
    row, column = np.divmod(np.arange(SIDE * SIDE), SIDE)
    return np.argsort((row >= SIDE // 2) | (column >= SIDE // 2), kind="stable")
