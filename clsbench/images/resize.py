"""Resampling: one function for every resize that clsbench makes."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from clsbench.transform import Geometry, Interpolation

FILTERS = {
    "nearest": Image.Resampling.NEAREST,
    "box": Image.Resampling.BOX,
    "bilinear": Image.Resampling.BILINEAR,
    "bicubic": Image.Resampling.BICUBIC,
    "lanczos": Image.Resampling.LANCZOS,
}


def resize(pixels: NDArray[np.uint8], geometry: Geometry, interpolation: Interpolation) -> NDArray[np.uint8]:
    """Resample the box that survives.

    Args:
        pixels: uint8 (H, W, 3).
        geometry: Box and target size.
        interpolation: The filter; antialiased, as Pillow's are.

    Returns:
        uint8 (h, w, 3) with (h, w) = ``geometry.size``.
    """
    height, width = geometry.size
    image = Image.fromarray(pixels)
    return np.asarray(image.resize((width, height), FILTERS[interpolation], geometry.box))
