"""Batches for training: decoded and resized by threads, ahead of the network.

Validation pictures come from the same :class:`~clsbench.images.loader.ImageLoader` call as
inference's; training pictures from the same resize with another box.
"""

from __future__ import annotations

import math
from collections import deque
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass, field

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from clsbench.datasets.dataset import Sample
from clsbench.errors import ClsbenchError, DataError
from clsbench.images.loader import ImageLoader
from clsbench.transform import Geometry

#: Random-resized crops keep this part of the area and these aspect ratios.
CROP_SCALE, CROP_RATIO = (0.5, 1.0), (3 / 4, 4 / 3)

Load = Callable[[Sample, np.random.Generator], NDArray[np.uint8]]


def plain(loader: ImageLoader) -> Load:
    """Pictures as validation and inference see them."""
    return lambda sample, random: loader(sample.image)


def basic_augmentation(loader: ImageLoader, *, mirrored: bool) -> Load:
    """A random-resized crop and, if ``mirrored``, a horizontal flip, by the loader's own resize.

    Source: C. Szegedy et al., Going deeper with convolutions, CVPR 2015, with the gentler
    smallest crop that suits fine-tuning.
    """

    def load(sample: Sample, random: np.random.Generator) -> NDArray[np.uint8]:
        pixels = loader.pixels(sample.image)
        out = np.empty((*loader.transform.size, 3), np.uint8)
        height, width = pixels.shape[:2]
        loader.fit(pixels, out, Geometry(random_box(width, height, random), loader.transform.size))
        return np.ascontiguousarray(out[:, ::-1]) if mirrored and random.random() < 0.5 else out

    return load


def random_box(width: int, height: int, random: np.random.Generator) -> tuple[float, float, float, float]:
    """A box (left, top, right, bottom) in pixels, of random area, aspect ratio and place."""
    area = width * height * random.uniform(*CROP_SCALE)
    ratio = math.exp(random.uniform(math.log(CROP_RATIO[0]), math.log(CROP_RATIO[1])))
    w, h = min(width, math.sqrt(area * ratio)), min(height, math.sqrt(area / ratio))
    left, top = random.uniform(0, width - w), random.uniform(0, height - h)
    return left, top, left + w, top + h


@dataclass
class Batches:
    """Iterates over samples in batches, decoding ahead.

    Args:
        samples: Labelled.
        load: Makes uint8 (h, w, 3) of a sample; its generator depends on seed, epoch and
            sample alone, so the same run gives the same pictures on any number of threads.
        batch_size: Of all batches but the last.
        threads: That decode.
        seed: Of order and augmentation.
        shuffle: Whether each epoch has its own order; incomplete last batches are then dropped.
    """

    samples: Sequence[Sample]
    load: Load
    batch_size: int
    threads: int
    seed: int = 0
    shuffle: bool = False
    #: Names of unreadable pictures, left out, with the reason.
    unreadable: dict[str, str] = field(default_factory=dict)

    def __len__(self) -> int:
        return len(range(0, self._stop(), self.batch_size))

    def _stop(self) -> int:
        count = len(self.samples)
        whole = count - count % self.batch_size
        return whole if self.shuffle and whole else count

    def epoch(self, number: int) -> Iterator[tuple[Tensor, Tensor]]:
        """Batches of one epoch: images uint8 (N, h, w, 3), labels int64 (N,).

        Unreadable pictures are left out and remembered.

        Raises:
            DataError: if no picture of the whole epoch can be read.
        """
        order = np.arange(len(self.samples))
        if self.shuffle:
            order = np.random.default_rng((self.seed, number)).permutation(order)
        starts = range(0, self._stop(), self.batch_size)
        empty = True
        with ThreadPoolExecutor(self.threads, thread_name_prefix="decode") as pool:
            ahead: deque[list[Future[tuple[NDArray[np.uint8], int] | None]]] = deque()
            for start in (*starts, None, None):
                if start is not None:
                    indices = order[start : start + self.batch_size]
                    ahead.append([pool.submit(self._one, int(i), number) for i in indices])
                if len(ahead) > 2 or (start is None and ahead):
                    loaded = [pair for future in ahead.popleft() if (pair := future.result()) is not None]
                    if loaded:
                        empty = False
                        images, labels = zip(*loaded, strict=True)
                        yield torch.from_numpy(np.stack(images)), torch.tensor(labels)
        if empty:
            reason = next(iter(self.unreadable.values()), "no images")
            raise DataError("none of the pictures can be read", got=reason)

    def _one(self, index: int, epoch: int) -> tuple[NDArray[np.uint8], int] | None:
        sample = self.samples[index]
        if sample.label is None:
            return None
        try:
            return self.load(sample, np.random.default_rng((self.seed, epoch, index))), sample.label
        except ClsbenchError as error:
            self.unreadable[sample.name] = error.one_line()
            return None
