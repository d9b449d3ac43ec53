"""Damaged images of every common format through the loader: each is read, or an error with a reason code.

    python benchmarks/fuzz_decoders.py --inputs 10000 --seed 0
    python benchmarks/fuzz_decoders.py --inputs 400 --seed 7 --json fuzz.json

Files are made in code, small, in several modes of each format; then bytes are flipped, cut out,
repeated, overwritten by extreme numbers or replaced by a part of another file. The table says
how many inputs of each format were read and how many have which reason. Wanted: no exception that is not an
ImageError, no input that takes longer than 10 s, nothing on the terminal by a library; exit code 1 otherwise.
"""

from __future__ import annotations

import argparse
import io
import json
import os
import sys
import tempfile
import time
import traceback
import warnings
import zlib
from collections import Counter
from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np
from numpy.random import Generator
from PIL import Image

from clsbench.errors import REASONS, ImageError
from clsbench.images.entries import BytesEntry
from clsbench.images.loader import ImageLoader
from clsbench.transform import ImageTransform

#: Seconds that a decode may take.
SLOW = 10.0

#: Format -> modes and options it is made with.
MADE: dict[str, list[tuple[str, dict[str, object]]]] = {
    "JPEG": [
        ("RGB", {}), ("L", {}), ("CMYK", {}), ("RGB", {"progressive": True}),
        ("RGB", {"exif": b"Exif\0\0MM\0*\0\0\0\x08\0\0"}),
    ],
    "PNG": [("RGB", {}), ("RGBA", {}), ("P", {}), ("1", {}), ("I;16", {}), ("LA", {})],
    "WEBP": [("RGB", {}), ("RGBA", {"lossless": True})],
    "GIF": [("P", {}), ("L", {}), ("P", {"save_all": True})],
    "TIFF": [
        ("RGB", {"compression": "raw"}), ("CMYK", {"compression": "tiff_lzw"}), ("I;16", {"compression": "raw"}),
        ("I;16", {"compression": "tiff_lzw"}), ("P", {"compression": "tiff_lzw"}),
        ("RGB", {"compression": "packbits"}), ("L", {"compression": "tiff_adobe_deflate"}),
        ("RGB", {"compression": "jpeg"}), ("1", {"compression": "group4"}), ("F", {}),
    ],
    "BMP": [("RGB", {}), ("P", {}), ("1", {})],
    "PPM": [("RGB", {}), ("L", {}), ("1", {}), ("I;16", {})],
    "AVIF": [("RGB", {}), ("RGBA", {})],
    "JPEG2000": [("RGB", {}), ("I;16", {})],
    "TGA": [("RGB", {}), ("P", {"compression": "tga_rle"})],
    "ICO": [("RGBA", {})], "ICNS": [("RGBA", {})], "QOI": [("RGB", {})], "PCX": [("RGB", {}), ("P", {})],
    "SGI": [("RGB", {}), ("L", {"rle": True})], "DDS": [("RGBA", {}), ("RGBA", {"pixel_format": "DXT5"})],
    "BLP": [("P", {})],
    "MPO": [("RGB", {"save_all": True})],
    "HEIF": [("RGB", {})],
}  # fmt: skip

#: Numbers that headers are not expected to hold.
EXTREMES = (0, 1, 0x7F, 0x80, 0xFF, 0xFFFF, 0x7FFFFFFF, 0x80000000, 0xFFFFFFFF)


def originals(generator: Generator) -> dict[str, list[bytes]]:
    """Whole images of every format that can be written here."""
    made: dict[str, list[bytes]] = {}
    for form, variants in MADE.items():
        for mode, options in variants:
            if (data := _encoded(form, mode, dict(options), generator)) is not None:
                made.setdefault(form, []).append(data)
    return made


def _encoded(form: str, mode: str, options: dict[str, object], generator: Generator) -> bytes | None:
    across, down = np.meshgrid(np.linspace(0, 1, 45), np.linspace(0, 1, 33))
    waves = np.stack([255 * across, 255 * down, 128 + 127 * np.sin(9 * across * down)], 2)
    pixels = (waves + generator.integers(0, 20, waves.shape)).clip(0, 255).astype(np.uint8)
    image = Image.fromarray(pixels).resize((32, 32) if form in ("ICO", "ICNS", "DDS", "BLP") else (45, 33))
    image = Image.fromarray(pixels[:, :, 0].astype(np.uint16) * 257) if mode == "I;16" else image.convert(mode)
    if options.get("save_all"):
        options["append_images"] = [image.rotate(90), image.rotate(180)]
    file = io.BytesIO()
    if form == "HEIF":
        try:
            import pillow_heif
        except ImportError:
            return None
        pillow_heif.from_pillow(image).save(file)
    else:
        image.save(file, form, **options)
    return file.getvalue()


def damaged(data: bytes, others: list[bytes], generator: Generator) -> bytes:
    """The same file with one to three kinds of damage, the beginning of it more often than the rest."""
    damage: list[Callable[[bytearray, list[bytes], Generator], None]] = [
        _flip,
        _cut,
        _shorten,
        _number,
        _repeat,
        _splice,
    ]
    changed = bytearray(data)
    for _ in range(generator.integers(1, 4)):
        if changed:
            damage[generator.integers(len(damage))](changed, others, generator)
    return bytes(_sealed(changed)) if changed.startswith(b"\x89PNG") and generator.random() < 0.7 else bytes(changed)


def _sealed(png: bytearray) -> bytearray:
    """The checksums of a PNG file made right again, so that damage gets further than to them."""
    place = 8
    while place + 12 <= len(png):
        end = place + 8 + int.from_bytes(png[place : place + 4])
        png[end : end + 4] = zlib.crc32(png[place + 4 : end]).to_bytes(4)[: max(0, len(png) - end)]
        place = end + 4
    return png


def _place(data: bytearray, generator: Generator) -> int:
    return int(generator.integers(min(len(data), 64) if generator.random() < 0.4 else len(data)))


def _flip(data: bytearray, others: list[bytes], generator: Generator) -> None:
    for _ in range(generator.integers(1, 9)):
        data[_place(data, generator)] = generator.integers(256)


def _cut(data: bytearray, others: list[bytes], generator: Generator) -> None:
    start = _place(data, generator)
    del data[start : start + int(generator.integers(1, 65))]


def _shorten(data: bytearray, others: list[bytes], generator: Generator) -> None:
    del data[_place(data, generator) :]


def _number(data: bytearray, others: list[bytes], generator: Generator) -> None:
    start, size = _place(data, generator), int(2 ** generator.integers(3))
    value = EXTREMES[generator.integers(len(EXTREMES))] % (1 << (8 * size))
    data[start : start + size] = value.to_bytes(size, "little" if generator.random() < 0.5 else "big")


def _repeat(data: bytearray, others: list[bytes], generator: Generator) -> None:
    start = _place(data, generator)
    data[start:start] = data[start : start + int(generator.integers(1, 65))] * int(generator.integers(1, 9))


def _splice(data: bytearray, others: list[bytes], generator: Generator) -> None:
    other = others[generator.integers(len(others))]
    data[_place(data, generator) :] = other[int(generator.integers(len(other))) :]


def inputs(count: int, seed: int) -> Iterator[tuple[str, bytes]]:
    """So many damaged images, (format, bytes), of all formats in turn; the same for the same seed."""
    generator = np.random.default_rng(seed)
    made = originals(generator)
    everything = [data for some in made.values() for data in some]
    for number in range(count):
        form = list(made)[number % len(made)]
        yield form, damaged(made[form][generator.integers(len(made[form]))], everything, generator)


def outcome(loader: ImageLoader, data: bytes) -> str:
    """``read``, the reason code, or the traceback of what must not happen."""
    try:
        pixels = loader(BytesEntry("fuzz", data))
    except ImageError as error:
        return error.reason if error.reason in REASONS else f"unknown reason {error.reason}"
    except BaseException:  # noqa: BLE001  this is what is looked for
        return traceback.format_exc()
    return "read" if pixels.dtype == np.uint8 else f"pixels are {pixels.dtype}"


class Heard:
    """What libraries write to the terminal meanwhile: the file behind descriptor 2."""

    def __enter__(self) -> Heard:
        self._file, self._kept = tempfile.TemporaryFile(), os.dup(2)
        os.dup2(self._file.fileno(), 2)
        return self

    def __exit__(self, *failure: object) -> None:
        os.dup2(self._kept, 2)
        self._file.seek(0)
        self.text = self._file.read().decode("utf-8", "replace")


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--inputs", type=int, default=10_000)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--json", type=Path)
    parser.add_argument("--keep", type=Path, help="A folder for the inputs that failed.")
    arguments = parser.parse_args()
    warnings.simplefilter("ignore")
    loader, counts, failures = ImageLoader(ImageTransform(size=(8, 8))), Counter[tuple[str, str]](), []
    slowest = (0.0, "")
    with Heard() as heard:
        for number, (form, data) in enumerate(inputs(arguments.inputs, arguments.seed)):
            start = time.perf_counter()
            result = outcome(loader, data)
            seconds = time.perf_counter() - start
            slowest = max(slowest, (seconds, f"input {number}, {form}: {result[:20]}"))
            bad = seconds > SLOW or (result not in REASONS and result != "read")
            counts[form, "failed" if bad else result] += 1
            if bad:
                failures.append(f"input {number} ({form}, {seconds:.1f} s): {result}")
                if arguments.keep:
                    arguments.keep.mkdir(parents=True, exist_ok=True)
                    (arguments.keep / f"{number}.{form.lower()}").write_bytes(data)
    _report(counts, failures, slowest, heard.text)
    if arguments.json:
        table = {form: {result: counts[form, result] for f, result in counts if f == form} for form, _ in counts}
        arguments.json.write_text(json.dumps({"counts": table, "failures": failures, "slowest": slowest}, indent=2))
    sys.exit(1 if failures or heard.text else 0)


def _report(counts: Counter[tuple[str, str]], failures: list[str], slowest: tuple[float, str], noise: str) -> None:
    columns = [name for name in ("read", *REASONS, "failed") if any(result == name for _, result in counts)]
    print(f"{'format':10}{'inputs':>8}" + "".join(f"{name:>14}" for name in columns))
    for form in [*dict.fromkeys(form for form, _ in counts), "all"]:
        some = {name: sum(n for (f, r), n in counts.items() if r == name and form in (f, "all")) for name in columns}
        print(f"{form:10}{sum(some.values()):8}" + "".join(f"{some[name]:14}" for name in columns))
    print(f"slowest: {slowest[0]:.2f} s ({slowest[1]})")
    print(*failures[:20], sep="\n")
    print(f"libraries wrote to the terminal:\n{noise[:2000]}" if noise else "nothing on the terminal")


if __name__ == "__main__":
    main()
