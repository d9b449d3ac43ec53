"""Perceptual hashes: 256 bits of what an image shows, which survive saving and resizing it again.

Source: E. Klinger, D. Starkweather, pHash (the 16 × 16 lowest frequencies of a cosine transform of the grey image, each
above their median or not), as the library imagehash computes it.
"""

from __future__ import annotations

from functools import cache

import numpy as np
from numpy.typing import NDArray
from PIL import Image

#: Bits in each direction, and the grey image's side as a multiple of them.
SIDE, FACTOR = 16, 2

#: Words of a hash: the first holds the 8 × 8 lowest frequencies.
WORDS = 4


def perceptual_hash(pixels: NDArray[np.uint8], box: tuple[float, float, float, float]) -> NDArray[np.uint64]:
    """The hash of an image, uint64 (4,).

    Args:
        pixels: uint8 (H, W, 3).
        box: The part to look at: left, top, right, bottom as fractions of the sides.
    """
    import imagehash

    height, width = pixels.shape[:2]
    left, top, right, bottom = (min(max(part, 0.0), 1.0) for part in box)
    part = (left * width, top * height, right * width, bottom * height)
    side = SIDE * FACTOR
    grey = Image.fromarray(pixels).convert("L").resize((side, side), Image.Resampling.LANCZOS, box=part)
    bits = imagehash.phash(grey, SIDE, FACTOR).hash
    return np.packbits(bits.reshape(-1)[_order()]).view(np.uint64)


@cache
def _order() -> NDArray[np.int64]:
    """The bits of the 8 × 8 lowest frequencies first."""
    row, column = np.divmod(np.arange(SIDE * SIDE), SIDE)
    return np.argsort((row >= SIDE // 2) | (column >= SIDE // 2), kind="stable")
