"""Resampling with torch, on the device where an image was decoded: only the network's few pixels travel to the host.

The same as Pillow's resize of a box, to 2 grey levels: two passes as products with matrices of weights, in Pillow's
order, rounded and clipped to 8 bits after each.

Sources: Pillow, src/libImaging/Resample.c (filters, normalisation), pull request 9549 (the order of the passes).
"""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

if TYPE_CHECKING:
    import torch

    from clsbench import Geometry


def _triangle(x: torch.Tensor) -> torch.Tensor:
    return (1 - x.abs()).clamp(min=0)


def _cubic(x: torch.Tensor, a: float = -0.5) -> torch.Tensor:
    x = x.abs()
    near, far = ((a + 2) * x - (a + 3)) * x * x + 1, (((x - 5) * x + 8) * x - 4) * a
    return near.where(x < 1, far.where(x < 2, x.new_zeros(())))


def _lanczos(x: torch.Tensor) -> torch.Tensor:
    import torch

    return (torch.sinc(x) * torch.sinc(x / 3)).where(x.abs() < 3, x.new_zeros(()))


#: Filter -> its function, and how far it reaches, in pixels of the smaller of source and result.
FILTERS: dict[str, tuple[Callable[[Any], Any], int]] = {
    "bilinear": (_triangle, 1),
    "bicubic": (_cubic, 2),
    "lanczos": (_lanczos, 3),
}


def resize_into(image: torch.Tensor, geometry: Geometry, slot: NDArray[np.uint8], interpolation: str) -> None:
    """Resample the box of an image into a slot; the copy to the host is queued on the current stream.

    Args:
        image: uint8 (H, W, 3), on any device.
        geometry: Box and target size.
        slot: uint8 (h, w, 3) in host memory.
        interpolation: A key of :data:`FILTERS`.
    """
    import torch

    height, width = image.shape[:2]
    h, w = geometry.size
    left, top, right, bottom = geometry.box
    passes = [(0, top, bottom, h), (1, left, right, w)]
    if not height - h > max(0, 2 * (width - w)):
        passes.reverse()
    for axis, first, last, size in passes:
        image = _resample(image, axis, first, last, size, interpolation)
    torch.from_numpy(slot).copy_(image, non_blocking=True)


def _resample(image: torch.Tensor, axis: int, first: float, last: float, size: int, name: str) -> torch.Tensor:
    """One pass: uint8 (H, W, 3) -> (size, W, 3) of axis 0, or (H, size, 3) of axis 1."""
    import torch

    function, support = FILTERS[name]
    scale = (last - first) / size
    if (first, last, size) == (0, image.shape[axis], image.shape[axis]):
        return image
    reach = support * max(scale, 1.0)
    start, stop = max(0, math.floor(first - reach)), min(image.shape[axis], math.ceil(last + reach))
    part = image.narrow(axis, start, stop - start).float()
    options: dict[str, Any] = {"device": image.device, "dtype": torch.float64}
    centres = first + (torch.arange(size, **options) + 0.5) * scale
    pixels = torch.arange(start, stop, **options) + 0.5
    weights = function((pixels - centres[:, None]) / max(scale, 1.0))
    weights = (weights / weights.sum(1, keepdim=True)).float()
    made = torch.tensordot(weights, part, ([1], [0])) if axis == 0 else torch.matmul(weights, part)
    return (made + 0.5).floor_().clamp_(0, 255).to(torch.uint8)
