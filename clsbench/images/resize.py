"""Resampling: one function for every resize that clsbench makes.

Pillow is the reference and the fallback. Where its filters are the same to two grey
levels, ``fast_image_resize`` (through cykooz.resizer, SIMD) does the work in less time.
Both run as two passes in one fixed order, because the order shows in the pixels (up to
15 levels at hard edges) and differs between releases of Pillow.
"""

from __future__ import annotations

import math
import threading

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from clsbench.transform import Geometry, Interpolation

try:
    import cykooz_resizer as cykooz
except ImportError:  # no wheel for this platform: Pillow does the work
    cykooz = None

Box = tuple[float, float, float, float]

FILTERS = {
    "nearest": Image.Resampling.NEAREST,
    "box": Image.Resampling.BOX,
    "bilinear": Image.Resampling.BILINEAR,
    "bicubic": Image.Resampling.BICUBIC,
    "lanczos": Image.Resampling.LANCZOS,
}

#: The filters that agree, by cykooz's names. ``box`` does not: it breaks ties otherwise.
FAST_FILTERS = {"bilinear": "bilinear", "bicubic": "catmull_rom", "lanczos": "lanczos3"}

#: How far these filters reach, in pixels of the smaller of source and result.
SUPPORT = {"bilinear": 1, "bicubic": 2, "lanczos": 3}

#: Images of more bytes are resampled in strips of so many. The library copies what it is given twice: into memory that
#: is at hand this costs little, while fresh pages for the whole of a photo cost more than the work.
STRIP_BYTES = 1 << 20


def resize(pixels: NDArray[np.uint8], geometry: Geometry, interpolation: Interpolation) -> NDArray[np.uint8]:
    """Resample the box that survives, the faster way where it agrees.

    Args:
        pixels: uint8 (H, W, 3).
        geometry: Box and target size.
        interpolation: The filter; antialiased, as Pillow's are.

    Returns:
        uint8 (h, w, 3) with (h, w) = ``geometry.size``, at most 2 levels from :func:`resize_pillow`.
    """
    height, width = pixels.shape[:2]
    if geometry.size == (height, width) and geometry.box == (0, 0, width, height):
        return pixels
    if _fast is None or interpolation not in FAST_FILTERS:
        return resize_pillow(pixels, geometry, interpolation)
    pixels, geometry = _without_margins(pixels, geometry, SUPPORT[interpolation])
    for box, size in _passes(pixels.shape[0], pixels.shape[1], geometry):
        resample = _fast if pixels.nbytes <= STRIP_BYTES else _in_strips
        pixels = resample(pixels, interpolation, box, size)
    return pixels


def resize_pillow(pixels: NDArray[np.uint8], geometry: Geometry, interpolation: Interpolation) -> NDArray[np.uint8]:
    """The reference: what ``Image.resize(size, filter, box)`` of Pillow 13 gives.

    Args and Returns are those of :func:`resize`.
    """
    image = Image.fromarray(pixels)
    if interpolation == "nearest":  # takes no passes
        return np.asarray(image.resize(geometry.size[::-1], FILTERS[interpolation], geometry.box))
    for box, size in _passes(pixels.shape[0], pixels.shape[1], geometry):
        image = image.resize(size, FILTERS[interpolation], box)
    return np.asarray(image)


def _passes(height: int, width: int, geometry: Geometry) -> list[tuple[Box, tuple[int, int]]]:
    """(box, (width, height)) of the passes, in order; those that change nothing are left out."""
    h, w = geometry.size
    left, top, right, bottom = geometry.box
    if _rows_first(height, width, geometry):
        first, second = (0.0, top, float(width), bottom), (left, 0.0, right, float(h))
        between = (width, h)
    else:
        first, second = (left, 0.0, right, float(height)), (0.0, top, float(w), bottom)
        between = (w, height)
    source = (width, height)
    passes = []
    for box, before, after in ((first, source, between), (second, between, (w, h))):
        if before != after or box != (0.0, 0.0, *map(float, before)):
            passes.append((box, after))
    return passes


def _rows_first(height: int, width: int, geometry: Geometry) -> bool:
    """Whether rows are resampled first: where that saves much more of them than of the columns.

    Source: Pillow pull request 9549.
    """
    h, w = geometry.size
    return height - h > max(0, 2 * (width - w))


def _without_margins(pixels: NDArray[np.uint8], geometry: Geometry, support: int) -> tuple[NDArray[np.uint8], Geometry]:
    """Leave out the rows that no pixel of the result depends on: what is copied is what is used.

    Nothing is left out where the order of the passes, which looks at the height, would change.
    """
    height, width = pixels.shape[:2]
    left, top, right, bottom = geometry.box
    reach = support * max(1.0, (bottom - top) / geometry.size[0]) + 1
    first, last = max(0, math.floor(top - reach)), min(height, math.ceil(bottom + reach))
    if _rows_first(height, width, geometry) != _rows_first(last - first, width, geometry):
        return pixels, geometry
    return pixels[first:last], Geometry((left, top - first, right, bottom - first), geometry.size)


class _Fast(threading.local):
    """cykooz's resizer, one for each thread: it holds scratch memory."""

    def __init__(self) -> None:
        self._resizer = cykooz.Resizer()
        self._algorithms = {
            ours: cykooz.ResizeAlg.convolution(getattr(cykooz.FilterType, theirs))
            for ours, theirs in FAST_FILTERS.items()
        }

    def __call__(
        self, pixels: NDArray[np.uint8], interpolation: str, box: Box, size: tuple[int, int]
    ) -> NDArray[np.uint8]:
        height, width = pixels.shape[:2]
        kind = cykooz.PixelType.U8x3
        source = cykooz.ImageData(width, height, kind, pixels.tobytes())
        target = cykooz.ImageData(*size, kind)
        crop = cykooz.CropBox(box[0], box[1], box[2] - box[0], box[3] - box[1])
        options = cykooz.ResizeOptions(self._algorithms[interpolation], use_alpha=False, crop_box=crop)
        self._resizer.resize(source, target, options)
        return np.frombuffer(target.get_buffer(), np.uint8).reshape(size[1], size[0], 3)


_fast = _Fast() if cykooz else None


def _in_strips(pixels: NDArray[np.uint8], interpolation: str, box: Box, size: tuple[int, int]) -> NDArray[np.uint8]:
    """One pass, in strips that do not depend on one another: of rows where columns are resampled, else of columns."""
    assert _fast is not None
    (height, width), (left, top, right, bottom) = pixels.shape[:2], box
    out = np.empty((size[1], size[0], 3), np.uint8)
    if (top, bottom, size[1]) == (0, height, height):
        step = -(-STRIP_BYTES // (3 * width))
        for first in range(0, height, step):
            rows = min(step, height - first)
            strip = pixels[first : first + rows]
            out[first : first + rows] = _fast(strip, interpolation, (left, 0, right, rows), (size[0], rows))
        return out
    step = -(-STRIP_BYTES // (3 * height))
    for first in range(0, width, step):
        columns = min(step, width - first)
        strip = pixels[:, first : first + columns]
        out[:, first : first + columns] = _fast(strip, interpolation, (0, top, columns, bottom), (columns, size[1]))
    return out
