"""How well near-duplicates are told from different photos, and what that costs.

    python benchmarks/near_duplicates.py photos/ [--also cifar10/]

Each photo is changed in several ways and hashed as training reads it, the original as a training image (kept whole, to
be cropped later), the changed one as a validation image; found is what `near_pairs` finds of them. Then all pairs of
different photos, the time that hashing adds to reading, and a comparison of 50,000 with 10,000 hashes.
"""

from __future__ import annotations

import argparse
import io
import resource
import time
from collections import defaultdict
from collections.abc import Iterator, Sequence
from pathlib import Path
from statistics import median
from unittest.mock import patch

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageEnhance

from clsbench.datasets.dataset import Sample
from clsbench.datasets.near_duplicates import MOST_BITS, SMALLEST, Hashed, near_pairs
from clsbench.errors import ClsbenchError
from clsbench.images.entries import BytesEntry, Entry, FileEntry
from clsbench.images.loader import ImageLoader
from clsbench.images.perceptual_hash import perceptual_hashes, thumbnail
from clsbench.machine import available_cores
from clsbench.training.augmentation import Augmentation
from clsbench.training.stored_images import StoredImages
from clsbench.transform import ImageTransform

Bits = NDArray[np.uint64]


def changed(image: Image.Image) -> Iterator[tuple[str, bytes]]:
    """The photo changed in several ways, encoded."""
    width, height = image.size

    def cut(part: float) -> Image.Image:
        return image.crop((
            int(part * width), int(part * height), int((1 - part) * width), int((1 - part) * height)
        ))  # fmt: skip

    yield "JPEG quality 50", jpeg(image, 50)
    yield "resized to 70 %", jpeg(image.resize((round(0.7 * width), round(0.7 * height))), 85)
    yield "brighter by 15 %", jpeg(ImageEnhance.Brightness(image).enhance(1.15), 90)
    yield "contrast less by 20 %", jpeg(ImageEnhance.Contrast(image).enhance(0.8), 90)
    yield "1 % cut off each side", jpeg(cut(0.01), 90)
    yield "2 % cut off each side", jpeg(cut(0.02), 90)
    yield "5 % cut off each side", jpeg(cut(0.05), 90)


def jpeg(image: Image.Image, quality: int) -> bytes:
    """The image as a JPEG."""
    file = io.BytesIO()
    image.save(file, "JPEG", quality=quality)
    return file.getvalue()


class Reader:
    """Reads images as training does, and keeps what is hashed of them."""

    def __init__(self, policy: str) -> None:
        transform = ImageTransform(size=(224, 224), crop_fraction=0.875)
        self.augmentation = Augmentation(policy, transform, 1)  # type: ignore[arg-type]
        self.loader, self.thumbnails = ImageLoader(transform), list[NDArray[np.uint8]]()

    def __call__(self, entry: Entry) -> None:
        """Read an image."""
        stored, shape = self.augmentation.load(self.loader, entry)
        self.thumbnails.append(thumbnail(stored, (shape[0], shape[1], shape[2], shape[3])))

    def hashes(self) -> list[Bits]:
        """Of the images that were read."""
        return list(perceptual_hashes(np.stack(self.thumbnails)))


def main() -> None:
    """Print the tables."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("photos", type=Path)
    parser.add_argument(
        "--also", type=Path, help="train/ and test/ class folders of small images, compared in any case"
    )
    given = parser.parse_args()
    changes: dict[str, Reader] = {}
    as_training, as_validation = Reader("basic"), Reader("none")
    paths = sorted(given.photos.rglob("*.jp*g"))
    for path in paths:
        try:
            for reader in (as_training, as_validation):
                reader(FileEntry(path.name, str(path)))
        except ClsbenchError:
            continue
        for way, content in changed(Image.open(path).convert("RGB")):
            changes.setdefault(way, Reader("none"))(BytesEntry("changed", content))
    whole, view = as_training.hashes(), as_validation.hashes()
    ways = {way: reader.hashes() for way, reader in changes.items()}
    for way, hashes in ways.items():
        found = sum(len(pairs([a], [b])) for a, b in zip(whole, hashes, strict=True))
        print(f"{way:24}found {found} of {len(hashes)} ({found / len(hashes):.1%})")
    bits = np.bitwise_count(np.stack(view)[:, None] ^ np.stack(whole)).sum(axis=2, dtype=int)
    apart = bits[~np.eye(len(bits), dtype=bool)]
    print(
        f"different photos: {len(apart):,} pairs, {sum(apart <= MOST_BITS)} near, "
        f"the nearest differ in {np.sort(apart)[:4]} bits"
    )
    cost(paths)
    compare()
    if given.also:
        small(given.also)


def pairs(train: Sequence[Bits], val: Sequence[Bits]) -> list[object]:
    """What is found of two splits."""

    def split(name: str, hashes: Sequence[Bits]) -> Hashed:
        samples = [Sample(BytesEntry(f"{name}{k}", b""), 0) for k in range(len(hashes))]
        return Hashed(samples, np.stack(hashes), np.ones(len(hashes), bool))

    return list(near_pairs({"train": split("train", train), "val": split("val", val)}, {}, "val"))


def cost(paths: Sequence[Path], rounds: int = 7) -> None:
    """Processor time of the first reading with hashes and without, in turns."""
    transform = ImageTransform(size=(224, 224), crop_fraction=0.875)
    samples, seconds = [Sample(FileEntry(str(path), str(path)), 0) for path in paths], defaultdict(list)
    for limit in [SMALLEST, 10**9] * (rounds + 1):
        images = StoredImages(
            samples, ImageLoader(transform), Augmentation("basic", transform, len(samples)), threads=available_cores()
        )
        begun = time.process_time()
        with patch("clsbench.training.stored_images.SMALLEST", limit):
            images.prepare("ram", Path(), lambda count: None, decode=True)
        seconds[limit].append((time.process_time() - begun) / len(samples))
    hashed, plain = (1e3 * median(some[1:]) for some in seconds.values())
    print(f"reading an image: {plain:.2f} ms of one core, hashed as well {hashed:.2f} ms ({hashed / plain - 1:+.0%})")


def compare() -> None:
    """Time and memory of a large comparison."""
    random = np.random.default_rng(0)
    train, val = (list(random.integers(0, 2**64, (count, 4), np.uint64)) for count in (50_000, 10_000))
    before, begun = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss, time.process_time()
    pairs(train, val)
    more = (resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before) / 1024
    print(f"50,000 hashes against 10,000: {time.process_time() - begun:.1f} s of one core, {more:.0f} MB more")


def small(root: Path, count: int = 1000) -> None:
    """Small images, which the data check leaves out: how many of them would be found near."""
    train, test = (
        list(perceptual_hashes(np.stack([np.asarray(Image.open(path).convert("RGB")) for path in paths])))
        for paths in (
            [path for folder in sorted((root / split).iterdir()) for path in sorted(folder.iterdir())[:count]]
            for split in ("train", "test")
        )
    )
    print(f"{root.name}: {len(pairs(train, test))} of {len(test):,} test images near one of {len(train):,}")


if __name__ == "__main__":
    main()
