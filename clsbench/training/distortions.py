"""RandAugment and TrivialAugment of whole batches, with a few kernels for each kind of distortion.

torchvision's transforms take one image a call. On a GPU every kernel of theirs is then launched for every image, and
launching takes longer than computing. Here a batch is sorted by what happens to its images, so that the number of
launches depends on the kinds alone. What becomes of an image is what torchvision makes of it (nearest neighbours).

Sources: E. Cubuk et al., RandAugment, NeurIPS 2020; S. Müller, F. Hutter, TrivialAugment, ICCV 2021; kinds, ranges and
arithmetic as torchvision's ``v2.RandAugment()`` and ``v2.TrivialAugmentWide()``.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import lru_cache
from itertools import pairwise

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from clsbench.training.config import Policy
from clsbench.training.transfer import to_tensor

#: What can happen to an image. Those that move pixels stand first: all of them are one group.
KINDS = (
    "ShearX", "ShearY", "TranslateX", "TranslateY", "Rotate", "Identity", "Brightness", "Color", "Contrast",
    "Sharpness", "Posterize", "Solarize", "AutoContrast", "Equalize",
)  # fmt: skip
MOVING = 5

#: How many distortions an image gets, one after the other.
STEPS: dict[str, int] = {"rand": 2, "trivial": 1}

#: Strengths are numbered from 0 to 30; RandAugment takes this one.
LEVELS, RAND_LEVEL = 31, 9

#: Values that a CPU works on at once.
CACHED = 1 << 18

Fill = tuple[int, int, int] | None


@lru_cache(maxsize=8)
def strengths(policy: Policy, size: tuple[int, int]) -> NDArray[np.float64]:
    """float64 (kinds, levels): a slope, pixels, degrees, a part to add to 1, bits, or the part of 255 to invert above.

    Args:
        policy: ``rand`` or ``trivial``.
        size: (h, w) of the images.
    """
    h, w = size
    wide = policy == "trivial"
    tops = {
        "ShearX": 0.99 if wide else 0.3, "TranslateX": 32.0 if wide else 150.0 / 331.0 * w,
        "ShearY": 0.99 if wide else 0.3, "TranslateY": 32.0 if wide else 150.0 / 331.0 * h,
        "Rotate": 135.0 if wide else 30.0,
        **dict.fromkeys(("Brightness", "Color", "Contrast", "Sharpness"), 0.99 if wide else 0.9),
    }  # fmt: skip
    rows = [torch.linspace(0, tops.get(kind, 0.0), LEVELS).double().numpy() for kind in KINDS]
    rows[KINDS.index("Posterize")] = np.round(8 - np.arange(LEVELS) / ((LEVELS - 1) / (6 if wide else 4)))
    rows[KINDS.index("Solarize")] = torch.linspace(1, 0, LEVELS).double().numpy()
    return np.stack(rows)


def draw(
    policy: Policy, numbers: NDArray[np.float64], size: tuple[int, int]
) -> tuple[NDArray[np.int64], NDArray[np.float64]]:
    """What happens to images, and how strongly: both (n, steps).

    Args:
        policy: ``rand`` or ``trivial``.
        numbers: Random ones in [0, 1), float64 (n, steps, 3).
        size: (h, w) of the images.
    """
    kinds = (numbers[..., 0] * len(KINDS)).astype(np.int64)
    levels = RAND_LEVEL if policy == "rand" else (numbers[..., 1] * LEVELS).astype(np.int64)
    strength = strengths(policy, size)[kinds, levels]
    signed = kinds < KINDS.index("Posterize")
    return kinds, np.where(signed & (numbers[..., 2] < 0.5), -strength, strength)


def distort(images: Tensor, kinds: NDArray[np.int64], strength: NDArray[np.float64], fill: Fill = None) -> Tensor:
    """Every image distorted as :func:`draw` says.

    Args:
        images: uint8 (n, 3, h, w), on any device.
        kinds: int64 (n, steps), indices of ``KINDS``.
        strength: float64 (n, steps).
        fill: The colour of what comes into view beside an image; None for black.

    Returns:
        uint8 (n, 3, h, w).
    """
    place = np.arange(len(images))  # where each image lies now
    for step in range(kinds.shape[1]):
        order = np.argsort(kinds[:, step], kind="stable")
        images = images.index_select(0, to_tensor(place[order], images.device))
        images = _distorted(images, kinds[order, step], strength[order, step], fill)
        place = np.argsort(order)
    return images.index_select(0, to_tensor(place, images.device))


def _distorted(images: Tensor, kinds: NDArray[np.int64], strength: NDArray[np.float64], fill: Fill) -> Tensor:
    """Images in the order of their kinds, each by one distortion."""
    ends = np.searchsorted(kinds, [0, *range(MOVING, len(KINDS) + 1)])
    values = to_tensor(strength.astype(np.float32), images.device).view(-1, 1, 1, 1)
    done = []
    # One call for all of a kind, but on a CPU for no more than stay in its cache.
    together = len(images) if images.device.type != "cpu" else max(1, CACHED // images[0].numel())
    for kind, (begin, end) in zip(("moving", *KINDS[MOVING:]), pairwise(ends.tolist()), strict=True):
        for start in range(begin, end, together):
            rows = slice(start, min(start + together, end))
            if kind == "moving":
                theta = _inverse_affine(kinds[rows], strength[rows], (images.shape[2], images.shape[3]))
                done.append(_moved(images[rows], to_tensor(theta.astype(np.float32), images.device), fill))
            else:
                done.append(COLORING[kind](images[rows], values[rows]))
    return torch.cat(done)


def _inverse_affine(
    kinds: NDArray[np.int64], strength: NDArray[np.float64], size: tuple[int, int]
) -> NDArray[np.float64]:
    """From output to input, in pixels from an image's centre: float64 (n, 2, 3).

    Shears leave the upper left corner where it is, and rotations the centre.
    """
    h, w = size
    theta = np.zeros((len(kinds), 2, 3))
    theta[:, 0, 0] = theta[:, 1, 1] = 1
    shear_x, shear_y, right, down, turned = (kinds == kind for kind in range(MOVING))
    theta[shear_x, 0, 1], theta[shear_x, 0, 2] = strength[shear_x], strength[shear_x] * h / 2
    theta[shear_y, 1, 0], theta[shear_y, 1, 2] = strength[shear_y], strength[shear_y] * w / 2
    theta[right, 0, 2], theta[down, 1, 2] = -np.trunc(strength[right]), -np.trunc(strength[down])
    angle = np.radians(strength[turned])
    theta[turned, 0, 0] = theta[turned, 1, 1] = np.cos(angle)
    theta[turned, 0, 1], theta[turned, 1, 0] = -np.sin(angle), np.sin(angle)
    return theta


def _moved(images: Tensor, theta: Tensor, fill: Fill) -> Tensor:
    """Images through ``theta``, float32 (n, 2, 3); without a matrix product, which TF32 would make coarse."""
    h, w = images.shape[2:]
    x = torch.linspace((1 - w) / 2, (w - 1) / 2, w, device=images.device)
    y = torch.linspace((1 - h) / 2, (h - 1) / 2, h, device=images.device)[:, None]
    across, down = (theta[:, row, :, None, None] / (side / 2) for row, side in ((0, w), (1, h)))
    grid = torch.stack([part[:, 0] * x + part[:, 1] * y + part[:, 2] for part in (across, down)], dim=-1)
    color = torch.tensor(fill or (0, 0, 0), dtype=torch.float32).view(3, 1, 1)
    beside = to_tensor(color.numpy(), images.device)  # torch has zeros beside an image only
    levels = images.to(torch.float32).sub_(beside) if fill else images.to(torch.float32)
    sampled = nn.functional.grid_sample(levels, grid, "nearest", padding_mode="zeros", align_corners=False)
    return (sampled.add_(beside) if fill else sampled).to(torch.uint8)


def _grey(levels: Tensor) -> Tensor:
    red, green, blue = levels.unbind(1)
    return red.mul(0.2989).add_(green, alpha=0.587).add_(blue, alpha=0.114).floor_()[:, None]


def _away(levels: Tensor, other: Tensor, strength: Tensor) -> Tensor:
    """Levels, float32, moved away from others, or towards them where the strength is negative."""
    return levels.mul_(1 + strength).sub_(other * strength).clamp_(0, 255).to(torch.uint8)


def _brightened(images: Tensor, strength: Tensor) -> Tensor:
    return images.to(torch.float32).mul_(1 + strength).clamp_(0, 255).to(torch.uint8)


def _coloured(images: Tensor, strength: Tensor) -> Tensor:
    levels = images.to(torch.float32)
    return _away(levels, _grey(levels), strength)


def _contrasted(images: Tensor, strength: Tensor) -> Tensor:
    levels = images.to(torch.float32)
    return _away(levels, _grey(levels).mean(dim=(1, 2, 3), keepdim=True), strength)


def _sharpened(images: Tensor, strength: Tensor) -> Tensor:
    """Away from the mean of 3×3 pixels, the middle one counted five times; the border is left as it is."""
    if min(images.shape[2:]) <= 2:
        return images
    levels = images.to(torch.float32)
    inner = levels[:, :, 1:-1, 1:-1]
    # No convolution: cuDNN would plan one for every number of images.
    rows = levels[:, :, :-2] + levels[:, :, 1:-1] + levels[:, :, 2:]
    blurred = rows[..., :-2] + rows[..., 1:-1] + rows[..., 2:]
    blurred.add_(inner, alpha=4).div_(13).round_()
    inner.sub_(blurred.sub_(inner).mul_(strength))
    return levels.clamp_(0, 255).to(torch.uint8)


def _posterized(images: Tensor, bits: Tensor) -> Tensor:
    return images & (256 - torch.exp2(8 - bits)).to(torch.uint8)


def _solarized(images: Tensor, part: Tensor) -> Tensor:
    return torch.where(images >= (255 * part).ceil().to(torch.uint8), 255 - images, images)


def _stretched(images: Tensor, _: Tensor) -> Tensor:
    from torchvision.transforms.v2 import functional

    found: Tensor = functional.autocontrast(images)
    return found


def _equalized(images: Tensor, _: Tensor) -> Tensor:
    from torchvision.transforms.v2 import functional

    found: Tensor = functional.equalize(images)
    return found


#: Kind -> a function of images uint8 (n, 3, h, w) and strengths float32 (n, 1, 1, 1).
COLORING: dict[str, Callable[[Tensor, Tensor], Tensor]] = {
    "Identity": lambda images, _: images,
    "Brightness": _brightened,
    "Color": _coloured,
    "Contrast": _contrasted,
    "Sharpness": _sharpened,
    "Posterize": _posterized,
    "Solarize": _solarized,
    "AutoContrast": _stretched,
    "Equalize": _equalized,
}
