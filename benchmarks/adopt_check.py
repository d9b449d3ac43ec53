"""Which preprocessing was it? ``adopt --check`` on EfficientNet-Lite0 without its card, on labelled photos.

    python benchmarks/adopt_check.py --json adopt_check.json

The pretrained network as ``torch.onnx.export`` writes it (float32 in, no metadata) is tried with all candidate
transforms on hymenoptera's photos, whose folders ``ants`` and ``bees`` are ImageNet's ``ant`` and ``bee``. The truth
is what its plugin states: mean = std = 0.5, RGB, bicubic, 224 of 256. Prints the ranking with and without labels, the
place of the truth in both, and the seconds that it took; and TensorFlow's own 127 and 128 beside 0.5 and 0.5, which is
why those are no candidate. The network takes both cores of a small machine, so nothing else should run.
"""

from __future__ import annotations

import argparse
import tempfile
import time
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import models
import numpy as np
import pictures
from numpy.typing import NDArray
from reporting import note, print_table, write_json

from clsbench import imagenet_classes
from clsbench.adopting.candidates import Candidate, candidates
from clsbench.adopting.checking import MAX_IMAGES, Logits, check_transforms
from clsbench.adopting.transform_check import TransformCheck
from clsbench.images.entries import FileEntry
from clsbench.inference.sessions import open_session
from clsbench.machine import available_cores
from clsbench.transform import ImageTransform, normalise

SIZE = (224, 224)
TRUTH = ImageTransform(
    size=SIZE, crop_fraction=0.875, interpolation="bicubic", mean=(0.5, 0.5, 0.5), std=(0.5, 0.5, 0.5)
)
TENSORFLOW = replace(TRUTH, mean=(127 / 255,) * 3, std=(128 / 255,) * 3)


class Progress:
    """The notes only."""

    note = staticmethod(note)

    def stage(self, name: str, total: int | None = None) -> None:
        """Nothing."""

    def advance(self, count: int, errors: int = 0) -> None:
        """Nothing."""


def network(file: Path) -> Logits:
    """The foreign graph on the CPU, with the normalisation in numpy."""
    session = open_session(file, "cpu", threads=available_cores())

    def logits(images: NDArray[np.uint8], transform: ImageTransform) -> NDArray[np.float32]:
        planes = np.ascontiguousarray(normalise(images, transform).transpose(0, 3, 1, 2))
        found: NDArray[np.float32] = session.run(None, {"input": planes})[0]
        return found

    return logits


def measure(
    logits: Logits, photos: list[Path], labels: NDArray[np.int64] | None, tried: Sequence[Candidate], limit: int
) -> dict[str, Any]:
    """One check, its seconds and the place of the truth."""
    entries = [FileEntry(str(photo), str(photo)) for photo in photos]
    calls: list[int] = []

    def counting(images: NDArray[np.uint8], transform: ImageTransform) -> NDArray[np.float32]:
        calls.append(len(images))
        return logits(images, transform)

    start = time.perf_counter()
    check = check_transforms(counting, entries, labels, tried, progress=Progress(), limit=limit)
    seconds = time.perf_counter() - start
    place = 1 + [found.transform for found in check.candidates].index(TRUTH)
    show(check, seconds, sum(calls), place)
    return {"seconds": seconds, "network_images": sum(calls), "place": place, **check.to_json()}


def show(check: TransformCheck, seconds: float, images: int, place: int) -> None:
    rows = [
        (
            found.name,
            found.images,
            f"{found.accuracy.value:.1%}" if found.accuracy else "-",
            f"{100 * found.difference.low:z.1f} to {100 * found.difference.high:z.1f}",
            f"{found.log_loss:.4f}" if found.log_loss is not None else "-",
            f"{found.mean_confidence:.4f}",
            f"{found.mean_entropy:.3f}",
            "yes" if found.best_or_equal else "",
        )
        for found in check.candidates[:20]
    ]
    columns = ("transform", "images", "accuracy", "to the best", "log loss", "confidence", "entropy", "equal")
    print_table(check.verdict, columns, rows)
    print(f"\n  the truth is number {place}; {seconds:.0f} s, {images:,} images through the network")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--limit", type=int, default=MAX_IMAGES, help="photos at most")
    parser.add_argument("--json", type=Path)
    given = parser.parse_args()
    names = imagenet_classes()
    with tempfile.TemporaryDirectory(prefix="clsbench-") as name:
        folder = Path(name)
        note("unpacking and exporting")
        photos = pictures.photos(pictures.HYMENOPTERA, folder / "data")
        logits = network(models.export_plain(models.LITE0, folder))
        labels = np.array([names.index(photo.parent.name.removesuffix("s")) for photo in photos])
        tried = candidates(ImageTransform(size=SIZE, crop_fraction=0.875))
        pair = [Candidate("0.5 and 0.5", TRUTH), Candidate("127 and 128", TENSORFLOW)]
        facts = {
            "labelled": measure(logits, photos, labels, tried, given.limit),
            "unlabelled": measure(logits, photos, None, tried, given.limit),
            "tensorflow": measure(logits, photos, labels, pair, given.limit),
        }
    write_json(given.json, facts)


if __name__ == "__main__":
    main()
