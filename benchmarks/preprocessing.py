"""Decoding and resizing: clsbench's loader against Pillow, one thread, on real photos.

    python benchmarks/preprocessing.py --json preprocessing.json

1. hymenoptera's photos: ``ImageLoader`` against
   ``Image.open(path).convert("RGB").resize(size, filter, box)``, with EfficientNet-Lite0's
   transform (bicubic, 224). Both read the file; turns are taken image by image.
2. ``--fast-decode`` on 12-megapixel photos: the same photos enlarged to 4000×3000 (JPEG,
   quality 90) against exact decoding and against Pillow. Enlarged photos have no detail
   of their own at that size, so they decode faster than a camera's, and the pixels of the
   fast way differ less than a camera's would.

Prints for each: CPU ms an image (of each image the median over the rounds, then the
mean), the ratio, the largest and the mean difference of pixels to Pillow's, and how many
images keep their top-1 with the pretrained Lite0 (onnxruntime, one thread, batches of 1).
"""

from __future__ import annotations

import argparse
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import models
import numpy as np
import pictures
from PIL import Image, ImageOps
from reporting import median, note, print_table, write_json

from clsbench.images.entries import FileEntry
from clsbench.images.loader import ImageLoader
from clsbench.model_file import read_card
from clsbench.transform import ImageTransform

#: A path -> the image at the network's size.
Way = Callable[[Path], Any]


def loader_way(loader: ImageLoader) -> Way:
    """The loader on a path."""
    return lambda file: loader(FileEntry(file.name, str(file)))


def pillow_way(transform: ImageTransform) -> Way:
    """What most code does, with only the box that survives resized."""
    resample = Image.Resampling[transform.interpolation.upper()]

    def load(file: Path) -> Image.Image:
        with Image.open(file) as image:
            geometry = transform.geometry(image.width, image.height)
            return image.convert("RGB").resize(geometry.size[::-1], resample, geometry.box)

    return load


def reference_pixels(file: Path, transform: ImageTransform) -> np.ndarray:
    """Pillow's pixels, upright: uint8 (h, w, 3)."""
    with Image.open(file) as image:
        upright = ImageOps.exif_transpose(image).convert("RGB")
    geometry = transform.geometry(upright.width, upright.height)
    resample = Image.Resampling[transform.interpolation.upper()]
    return np.asarray(upright.resize(geometry.size[::-1], resample, geometry.box))


def cpu_seconds(ways: dict[str, Way], files: list[Path], rounds: int) -> dict[str, float]:
    """Mean CPU seconds an image of each way; the ways take turns on every image."""
    spent: dict[str, list[list[float]]] = {name: [[] for _ in files] for name in ways}
    for number in range(rounds + 1):  # the first round warms up
        for index, file in enumerate(files):
            for name, way in ways.items():
                started = time.thread_time()
                way(file)
                if number:
                    spent[name][index].append(time.thread_time() - started)
    return {name: sum(median(times) for times in pictures) / len(files) for name, pictures in spent.items()}


def compare(loader: ImageLoader, files: list[Path], labels: Callable[[np.ndarray], int]) -> dict[str, Any]:
    """Pixels and top-1 of a loader against Pillow's."""
    largest, means, same = 0, [], 0
    for file in files:
        ours, reference = loader(FileEntry(file.name, str(file))), reference_pixels(file, loader.transform)
        difference = np.abs(ours.astype(np.int16) - reference)
        largest = max(largest, int(difference.max()))
        means.append(float(difference.mean()))
        same += labels(ours) == labels(reference)
    return {
        "max_difference": largest,
        "mean_difference": sum(means) / len(means),
        "same_top1": same,
        "images": len(files),
        "agreement": same / len(files),
    }


def labeller(model: Path) -> Callable[[np.ndarray], int]:
    """uint8 (h, w, 3) -> class index."""
    import onnxruntime as ort

    options = ort.SessionOptions()
    options.intra_op_num_threads = options.inter_op_num_threads = 1
    session = ort.InferenceSession(str(model), options, providers=["CPUExecutionProvider"])
    return lambda pixels: int(session.run(None, {"images": pixels[None]})[0].argmax())


def enlarge(files: list[Path], folder: Path) -> list[Path]:
    """12-megapixel copies: 4000×3000, or 3000×4000 for standing photos."""
    folder.mkdir()
    made = []
    for file in files:
        with Image.open(file) as image:
            upright = ImageOps.exif_transpose(image).convert("RGB")
        size = (4000, 3000) if upright.width >= upright.height else (3000, 4000)
        made.append(folder / f"{file.stem}.jpg")
        upright.resize(size, Image.Resampling.BICUBIC).save(made[-1], quality=90)
    return made


def row(name: str, seconds: float, base: float, pixels: dict[str, Any] | None) -> list[object]:
    cells: list[object] = [name, f"{1000 * seconds:.2f}", f"{base / seconds:.2f}"]
    if pixels is None:
        return [*cells, "", "", ""]
    same = f"{pixels['same_top1']} of {pixels['images']} ({pixels['agreement']:.2%})"
    return [*cells, pixels["max_difference"], f"{pixels['mean_difference']:.3f}", same]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", type=Path, default=pictures.HYMENOPTERA, help="a tar of photos")
    parser.add_argument("--files", type=int, default=1000, help="at most so many distinct photos")
    parser.add_argument("--large-files", type=int, default=40, help="so many of them enlarged to 12 megapixels")
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--json", type=Path)
    given = parser.parse_args()
    with tempfile.TemporaryDirectory(prefix="clsbench-") as name:
        folder = Path(name)
        note("unpacking and exporting")
        files = pictures.photos(given.data, folder / "photos")[: given.files]
        model = models.export_lite0(folder)
        transform, labels = read_card(model).transform, labeller(model)
        exact, fast = ImageLoader(transform), ImageLoader(transform, fast_decode=True)
        ways: dict[str, Way] = {"pillow": pillow_way(transform), "clsbench": loader_way(exact)}
        note(f"{len(files)} photos, {given.rounds} rounds")
        times, pixels = cpu_seconds(ways, files, given.rounds), compare(exact, files, labels)
        note(f"enlarging {given.large_files} photos")
        step = max(1, len(files) // max(1, given.large_files))
        large = enlarge(files[::step][: given.large_files], folder / "large")
        note("12-megapixel photos")
        large_times = cpu_seconds({**ways, "fast": loader_way(fast)}, large, given.rounds)
        large_exact, large_fast = compare(exact, large, labels), compare(fast, large, labels)
    columns = ("", "CPU ms an image", "× Pillow", "max difference", "mean", "same top-1 as Pillow")
    rows = [row("Pillow", times["pillow"], times["pillow"], None)]
    print_table(
        f"Read, decode, resize: {len(files)} photos",
        columns,
        [*rows, row("clsbench", times["clsbench"], times["pillow"], pixels)],
    )
    base = large_times["pillow"]
    rows = [
        row("Pillow", base, base, None),
        row("clsbench", large_times["clsbench"], base, large_exact),
        row("clsbench --fast-decode", large_times["fast"], base, large_fast),
    ]
    print_table(f"12 megapixels: {len(large)} photos, enlarged", columns, rows)
    print(f"\n--fast-decode is {large_times['clsbench'] / large_times['fast']:.2f} × exact decoding")
    write_json(
        given.json,
        {
            "photos": {"cpu_seconds": times, "ratio": times["pillow"] / times["clsbench"], **pixels},
            "large": {
                "cpu_seconds": large_times,
                "ratio_fast_to_exact": large_times["clsbench"] / large_times["fast"],
                "exact": large_exact,
                "fast": large_fast,
            },
            "rounds": given.rounds,
        },
    )


if __name__ == "__main__":
    main()
