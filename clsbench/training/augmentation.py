"""Augmentation of stored images, a batch at a time and on the network's device.

Stored images are uint8 (N, H, W, 3). For random crops they show the whole image, squeezed
into (H, W), with the numbers that undo the squeezing; otherwise the network's very input.
What happens to an image depends on seed, epoch and image alone, never on its batch.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import cached_property

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from clsbench.images.entries import Entry
from clsbench.images.loader import ImageLoader
from clsbench.images.resize import resize
from clsbench.training.config import Policy
from clsbench.training.distortions import STEPS, distort, draw
from clsbench.training.transfer import to_tensor
from clsbench.transform import Geometry, ImageTransform

#: Random-resized crops have these aspect ratios, and this part of the area of the largest box
#: of their ratio: gentler than ImageNet's 0.08, as suits fine-tuning. Parts of the whole
#: image's area could not be kept to with wide images.
CROP_SCALE, CROP_RATIO = (0.5, 1.0), (3 / 4, 4 / 3)

#: Whole images are stored this much larger than the network's input, and without what
#: makes them longer than these aspect ratios, so that hardly a crop has to be enlarged.
STORED, LONGEST = 1.43, (3 / 4, 4 / 3)

#: Inputs of at most this side, pixels, are shifted by whole pixels instead, by this part of
#: the side at most: resampling would blur what little there is to see.
SMALL_SIDE, SHIFT = 64, 1 / 16

#: Squashed and letterboxed images keep all or nearly all of themselves: what is seen is from this to that times as
#: long as a side, and moved by ``SHIFT`` of it, so that an edge loses at most 11 %.
ZOOM = (0.9, 1.25)

#: Columns of an image's shape: the box that validation sees as (left, top, right, bottom)
#: fractions, and the aspect ratio, width / height, of the whole.
SHAPE_COLUMNS = 5


@dataclass(frozen=True)
class Augmentation:
    """How training images are stored, and what is made of them in each epoch.

    Args:
        policy: ``none``; ``basic``: a random-resized crop (for small inputs a shift) and, if
            ``mirrored``, a flip; ``rand`` and ``trivial``: the same, then RandAugment or TrivialAugment.
            Where the transform squashes (and crops) or letterboxes there are no random-resized crops, which would
            show other shapes and less of the image than validation does: the network's very input is zoomed a
            little, without changing its aspect ratio, and moved. What comes into view beside it is the letterbox's
            padding, or else the edge repeated.
        transform: The network's.
        count: How many images there are.
        mirrored: Whether a mirrored image still shows its class.
        seed: Of everything random.

    Sources: C. Szegedy et al., Going deeper with convolutions, CVPR 2015 (crops); C.-Y. Lee et
    al., Deeply-supervised nets, AISTATS 2015 (shifts); E. Cubuk et al., RandAugment, NeurIPS
    2020; S. Müller, F. Hutter, TrivialAugment, ICCV 2021; the last two as torchvision has them.
    """

    policy: Policy
    transform: ImageTransform
    count: int
    mirrored: bool = True
    seed: int = 0

    @property
    def whole(self) -> bool:
        """Whether whole images are stored, to be cropped later."""
        return self.policy != "none" and self.transform.resize == "crop" and not self.small

    @property
    def small(self) -> bool:
        """Whether images are shifted rather than cropped."""
        return max(self.transform.size) <= SMALL_SIDE

    @property
    def fill(self) -> tuple[int, int, int] | None:
        """The colour of what lies beside an image, RGB in levels 0 to 255; None for its edge repeated."""
        return self.transform.padding if self.transform.resize == "letterbox" else None

    @property
    def stored_size(self) -> tuple[int, int]:
        """(H, W) of stored images."""
        h, w = self.transform.size
        return (round(STORED * h), round(STORED * w)) if self.whole else (h, w)

    def load(self, loader: ImageLoader, entry: Entry) -> tuple[NDArray[np.uint8], tuple[float, ...]]:
        """One image as it is stored, uint8 (H, W, 3), and its shape (see ``SHAPE_COLUMNS``)."""
        if not self.whole:
            h, w = self.transform.size
            return loader(entry), (0.0, 0.0, 1.0, 1.0, w / h)
        pixels = loader.pixels(entry)
        height, width = pixels.shape[:2]
        kept_width, kept_height = min(width, LONGEST[1] * height), min(height, width / LONGEST[0])
        x, y = (width - kept_width) / 2, (height - kept_height) / 2
        out = np.empty((*self.stored_size, 3), np.uint8)
        loader.fit(pixels, out, Geometry((x, y, x + kept_width, y + kept_height), self.stored_size))
        left, top, right, bottom = self.transform.geometry(width, height).box
        seen = ((left - x) / kept_width, (top - y) / kept_height, (right - x) / kept_width, (bottom - y) / kept_height)
        return out, (*seen, kept_width / kept_height)

    def apply(self, images: Tensor, shapes: NDArray[np.float32], indices: NDArray[np.int64], epoch: int) -> Tensor:
        """What the network gets to see.

        Args:
            images: Stored images, uint8 (n, H, W, 3), on any device.
            shapes: float32 (n, 5), see ``SHAPE_COLUMNS``.
            indices: int64 (n,) of the images, below ``count``.
            epoch: 0 means no randomness: the box that validation sees.

        Returns:
            (n, h, w, 3) in levels 0 to 255: uint8 of CPUs and where nothing is interpolated, else float32.
        """
        if epoch == 0 or self.policy == "none":
            return _crop(images, shapes[:, :4], None, self.transform) if self.whole else images
        drawn, distortions = self._numbers(epoch)
        drawn = drawn[indices]
        flips = (drawn[:, 4] < 0.5) & self.mirrored
        if self.small:
            cropped = _shift(images, drawn[:, 2:4], flips, self.fill)
        else:
            boxes = _boxes(shapes[:, 4], drawn) if self.whole else _frames(drawn)
            cropped = _crop(images, boxes, flips, self.transform, self.fill)
        if self.policy == "basic":
            return cropped
        pixels = cropped.round().to(torch.uint8) if cropped.is_floating_point() else cropped
        pixels = pixels.permute(0, 3, 1, 2)
        kinds, strength = draw(self.policy, distortions[indices], self.transform.size)
        return distort(pixels, kinds, strength, self.fill).permute(0, 2, 3, 1)

    def _numbers(self, epoch: int) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
        """Numbers in [0, 1) for an epoch's images, drawn once: (count, 5), and for distortions (count, steps, 3)."""
        if epoch not in self._drawn:
            self._drawn.clear()
            random = np.random.default_rng((self.seed, epoch, 1))
            first = random.random((self.count, 5))
            self._drawn[epoch] = first, random.random((self.count, STEPS.get(self.policy, 0), 3))
        return self._drawn[epoch]

    @cached_property
    def _drawn(self) -> dict[int, tuple[NDArray[np.float64], NDArray[np.float64]]]:
        return {}


def augmented_versions(
    loader: ImageLoader, entry: Entry, policy: Policy, *, mirrored: bool, seed: int, count: int
) -> list[NDArray[np.uint8]]:
    """What training makes of one image in the first epochs: ``count`` times uint8 (h, w, 3)."""
    augmentation = Augmentation(policy, loader.transform, 1, mirrored=mirrored, seed=seed)
    stored, shape = augmentation.load(loader, entry)
    images, shapes = torch.from_numpy(stored[None].copy()), np.array([shape], np.float32)
    made = [augmentation.apply(images, shapes, np.zeros(1, np.int64), epoch)[0] for epoch in range(1, count + 1)]
    return [image.round().clamp(0, 255).to(torch.uint8).numpy() for image in made]


def _shift(
    images: Tensor, drawn: NDArray[np.float64], flips: NDArray[np.bool_], fill: tuple[int, int, int] | None
) -> Tensor:
    """Images (n, h, w, 3) moved by whole pixels, beside them ``fill`` or their edges, and flipped where told."""
    _, h, w, _ = images.shape
    down, right = (np.round((2 * drawn[:, k] - 1) * SHIFT * side).astype(int) for k, side in ((0, h), (1, w)))
    rows, columns = np.arange(h) + down[:, None], np.arange(w) + right[:, None]
    columns = np.where(flips[:, None], columns[:, ::-1], columns)
    inside = rows.clip(0, h - 1), columns.clip(0, w - 1)
    starts, steps = to_tensor(inside[0] * w, images.device), to_tensor(inside[1], images.device)
    at = starts[:, :, None] + steps[:, None, :]
    pixels = images.reshape(len(images), h * w, 3)
    moved = pixels.gather(1, at.reshape(len(images), h * w, 1).expand(-1, -1, 3)).reshape(images.shape)
    if fill is not None:
        above, aside = (
            to_tensor(given != kept, images.device) for given, kept in zip((rows, columns), inside, strict=True)
        )
        beside = (above[:, :, None] | aside[:, None, :])[..., None]
        moved = torch.where(beside, to_tensor(np.array(fill, np.uint8), images.device), moved)
    return moved


def _boxes(aspects: NDArray[np.float32], drawn: NDArray[np.float64]) -> NDArray[np.float32]:
    """Random boxes (n, 4) as fractions of the stored images, of the numbers drawn for them (n, 5)."""
    low, high = np.log(CROP_RATIO)
    ratio = np.exp(low + (high - low) * drawn[:, 1])
    side = np.sqrt(CROP_SCALE[0] + (CROP_SCALE[1] - CROP_SCALE[0]) * drawn[:, 0])
    width, height = side * np.minimum(1, ratio / aspects), side * np.minimum(1, aspects / ratio)
    left, top = drawn[:, 2] * (1 - width), drawn[:, 3] * (1 - height)
    return np.stack([left, top, left + width, top + height], axis=1).astype(np.float32)


def _frames(drawn: NDArray[np.float64]) -> NDArray[np.float32]:
    """Boxes (n, 4) that show nearly whole images and what lies beside them, of the numbers drawn for them (n, 5)."""
    low, high = np.log(ZOOM)
    side = np.exp(low + (high - low) * drawn[:, 0])
    left, top = ((1 - side) / 2 + SHIFT * (2 * drawn[:, k] - 1) for k in (2, 3))
    return np.stack([left, top, left + side, top + side], axis=1).astype(np.float32)


def _crop(
    images: Tensor,
    boxes: NDArray[np.float32],
    flips: NDArray[np.bool_] | None,
    transform: ImageTransform,
    fill: tuple[int, int, int] | None = None,
) -> Tensor:
    """Boxes (n, 4) as fractions of images uint8 (n, H, W, 3), flipped where told: (n, h, w, 3).

    Beside an image lies ``fill``, or its edge repeated.
    """
    if images.device.type == "cpu" and boxes.min() >= 0 and boxes.max() <= 1:
        return _resized(images, boxes, flips, transform)
    left, top, right, bottom = boxes.T
    theta = np.zeros((len(boxes), 2, 3), np.float32)
    theta[:, 0, 0], theta[:, 1, 1] = right - left, bottom - top
    theta[:, 0, 2], theta[:, 1, 2] = left + right - 1, top + bottom - 1
    if flips is not None:
        theta[flips, 0, 0] *= -1
    pixels = images.permute(0, 3, 1, 2).to(torch.float32)
    affine = to_tensor(theta, images.device)
    grid = nn.functional.affine_grid(affine, [len(boxes), 3, *transform.size], align_corners=False)
    # What the network was trained on is as sharp as its filter.
    mode = "bicubic" if transform.interpolation in ("bicubic", "lanczos") else "bilinear"
    if fill is None:
        sampled = nn.functional.grid_sample(pixels, grid, mode, padding_mode="border", align_corners=False)
    else:  # torch has zeros beside an image only
        color = to_tensor(np.array(fill, np.float32), images.device).view(3, 1, 1)
        sampled = color + nn.functional.grid_sample(
            pixels - color, grid, mode, padding_mode="zeros", align_corners=False
        )
    return sampled.clamp(0, 255).permute(0, 2, 3, 1)


def _resized(
    images: Tensor, boxes: NDArray[np.float32], flips: NDArray[np.bool_] | None, transform: ImageTransform
) -> Tensor:
    """The same for boxes within the images, by the resizer that validation's images are made with: uint8.

    torch would compute it in a team of threads of its own, which take the cores from those of the network.
    """
    count, height, width, _ = images.shape
    corners, pixels = boxes * np.array([width, height, width, height], np.float32), images.numpy()
    out = np.empty((count, *transform.size, 3), np.uint8)
    for k in range(count):
        left, top, right, bottom = map(float, corners[k])
        resized = resize(pixels[k], Geometry((left, top, right, bottom), transform.size), transform.interpolation)
        out[k] = resized[:, ::-1] if flips is not None and flips[k] else resized
    return torch.from_numpy(out)


#: Mixes a batch: images (n, h, w, 3) float32 and labels int64 (n,) -> images, targets (n, K).
Mix = Callable[[Tensor, Tensor], tuple[Tensor, Tensor]]


def mixing(mixup: float, cutmix: float, num_classes: int) -> Mix | None:
    """Mixup, CutMix, or one of both at random for each batch, as torchvision has them; None for neither.

    Args:
        mixup: Both parameters of the Beta distribution of Mixup's weights; 0 for no Mixup.
        cutmix: The same of CutMix's areas.
        num_classes: K.

    Sources: H. Zhang et al., mixup, ICLR 2018; S. Yun et al., CutMix, ICCV 2019.
    """
    if mixup == cutmix == 0:
        return None
    from torchvision.transforms import v2

    chosen = [kind(alpha=a, num_classes=num_classes) for kind, a in ((v2.MixUp, mixup), (v2.CutMix, cutmix)) if a > 0]
    transform = v2.RandomChoice(chosen) if len(chosen) > 1 else chosen[0]

    def mix(images: Tensor, labels: Tensor) -> tuple[Tensor, Tensor]:
        mixed, targets = transform(images.to(torch.float32).permute(0, 3, 1, 2), labels)
        return mixed.permute(0, 2, 3, 1), targets

    return mix
