"""Rules for decoders: the right pixels, or an error that says why."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from clsbench.errors import DataError
from clsbench.images.batch_checks import check_batches
from clsbench.images.decoders import formats_of
from clsbench.images.pillow import PillowDecoder
from clsbench.testing.component_rules import SENT_RULES, check_built
from clsbench.testing.rules import NotChecked, Subject, require, rule
from clsbench.testing.samples import encoded, smooth

#: Encoded bytes, and the pixels they show, uint8 (H, W, 3); None where nobody says.
Image = tuple[bytes, NDArray[np.uint8] | None]

IMAGES = "images in its formats: files, a folder of them, or pairs of (bytes, pixels uint8 (H, W, 3))"

#: Our name of a format -> Pillow's, and the modes that it is written in, the plain one first.
_WRITTEN = {
    "jpeg": ("JPEG", ("RGB", "L")),
    "png": ("PNG", ("RGB", "L", "P", "RGBA", "1")),
    "bmp": ("BMP", ("RGB", "L")),
    "gif": ("GIF", ("RGB", "L")),
    "tiff": ("TIFF", ("RGB", "L")),
    "webp": ("WEBP", ("RGB", "RGBA")),
    "ppm": ("PPM", ("RGB", "L")),
    "avif": ("AVIF", ("RGB",)),
    "jpeg2000": ("JPEG2000", ("RGB",)),
    "qoi": ("QOI", ("RGB",)),
    "sgi": ("SGI", ("RGB",)),
}

_SIZES = ((9, 7), (16, 24), (33, 50))


@rule("takes-its-arguments", "options-have-defaults")
def builds(subject: Subject) -> None:
    """``build()`` returns a decoder, callable, with ``formats``: the set of format names that it reads."""
    decoder = _decoder(subject)
    check_built(subject, decoder)
    require(formats_of(decoder), "its set of formats is empty")


@rule("builds")
def pixels_are_pixels(subject: Subject) -> None:
    """An image gives uint8 (H, W, 3): anything else ends a job."""
    for data, _ in _plain(subject):
        pixels = _decoder(subject)(data)
        right = isinstance(pixels, np.ndarray) and pixels.dtype == np.uint8 and pixels.ndim == 3
        got = f"{pixels.dtype} {pixels.shape}" if isinstance(pixels, np.ndarray) else type(pixels).__name__
        require(right and pixels.shape[2] == 3 and pixels.size, f"it returned {got}")


@rule("builds", "pixels-are-pixels")
def pixels_are_pillows(subject: Subject) -> None:
    """Images of several sizes and modes give Pillow's pixels; it may leave odd ones to the next decoder."""
    plain, known = list(_plain(subject)), 0
    for position, (data, right) in enumerate([*plain, *_odd(subject)]):
        if right is None:
            continue
        try:
            pixels = _decoder(subject)(data)
        except DataError:
            if position < len(plain):
                raise
            continue
        known += 1
        require(pixels.shape == right.shape, f"image {position + 1} has shape {pixels.shape} instead of {right.shape}")
        apart = np.abs(pixels.astype(int) - right).max()
        require(apart == 0, f"image {position + 1} ({data[:4]!r}…) is up to {apart} levels from what it should be")
    if not known:
        raise NotChecked("Pillow does not read these images: give pairs of (bytes, pixels), in Python")


@rule("builds", "pixels-are-pixels")
def pixels_stay(subject: Subject) -> None:
    """The pixels of one image are the same after another was decoded: memory is not used again behind one's back."""
    first, *_ = _plain(subject)
    pixels = _decoder(subject)(first[0])
    before = pixels.copy()
    for data in (first[0][:-1] + b"\0", *(other for other, _ in _plain(subject))):
        try:
            _decoder(subject)(data)
        except Exception:  # noqa: BLE001  only what it does to memory counts here
            continue
    require(np.array_equal(pixels, before), "decoding another image changed the pixels of the first")


@rule("builds", "pixels-are-pixels")
def errors_are_explained(subject: Subject) -> None:
    """No bytes, other bytes and half an image raise a :class:`clsbench.DataError`: its text is the row's reason."""
    data, _ = next(iter(_plain(subject)))
    for what, bad in (("no bytes", b""), ("other bytes", b"not an image"), ("half an image", data[: len(data) // 2])):
        try:
            _decoder(subject)(bad)
        except DataError:
            continue
        except Exception as error:
            raise AssertionError(f"{what}: {type(error).__name__} instead of a DataError: {error}") from error
        raise AssertionError(f"{what} were decoded without an error")


@rule("builds", "pixels-are-pixels", "pixels-stay")
def threads_share_it(subject: Subject) -> None:
    """Four threads that use one decoder get the right pixels each: that is how it is used."""
    images = [data for data, _ in _plain(subject)] * 4
    right = [_decoder(subject)(data) for data in images]
    with ThreadPoolExecutor(4) as pool:
        found = list(pool.map(_decoder(subject), images))
    require(all(map(np.array_equal, found, right)), "threads that decode at the same time get other pixels")


@rule("builds", "pixels-are-pixels", "pixels-are-pillows")
def batches_are_kept_apart(subject: Subject) -> None:
    """``decode_batch``, if it has one, answers for each image with its pixels, its filled slot, or an exception."""
    if not hasattr(_decoder(subject), "decode_batch"):
        raise NotChecked("it decodes one image at a time")
    data, right = next(iter(_plain(subject)))
    check_batches(_decoder(subject), data, _decoder(subject)(data) if right is None else right)


def _decoder(subject: Subject) -> Any:
    return subject.fact("decoder", lambda: subject.opened(device="device"))


def _plain(subject: Subject) -> Sequence[Image]:
    """Images that it has to read: the author's, or one of each size in each of its formats that Pillow writes."""
    images: Sequence[Image] = subject.fact("images", lambda: list(_given(subject) or _made(subject, odd=False)))
    if not images:
        formats = ", ".join(sorted(formats_of(_decoder(subject))))
        try:
            subject.given("images", IMAGES)
        except NotChecked as missing:
            raise NotChecked(f"nothing here writes {formats}; {missing}", give=missing.give) from None
        raise NotChecked(f"nothing here writes {formats}; there are no images in what was given")
    return images


def _odd(subject: Subject) -> list[Image]:
    return [] if "images" in subject.inputs else list(_made(subject, odd=True))


def _given(subject: Subject) -> list[Image]:
    """The author's images; of files the pixels are Pillow's, where Pillow reads them."""
    given = subject.input("images", ())
    images: list[Image] = []
    for one in (given,) if isinstance(given, str | Path) else given:
        if isinstance(one, str | Path):
            path = Path(one)
            files = sorted(file for file in path.rglob("*") if file.is_file()) if path.is_dir() else [path]
            images += [(file.read_bytes(), _pillows(file.read_bytes())) for file in files]
        else:
            images.append((one[0], np.asarray(one[1], np.uint8)))
    return images


def _made(subject: Subject, *, odd: bool) -> Iterator[Image]:
    for form in sorted(formats_of(_decoder(subject)) & _WRITTEN.keys()):
        writer, modes = _WRITTEN[form]
        for mode in modes[1:] if odd else modes[:1]:
            for number, size in enumerate(_SIZES):
                try:
                    data = encoded(smooth(*size, seed=number), writer, mode)
                except (OSError, KeyError):
                    break  # this Pillow does not write it
                yield data, _pillows(data)
    if odd and "jpeg" in formats_of(_decoder(subject)):
        for options in ({"progressive": True}, {"quality": 30, "subsampling": 2}, {"subsampling": 0}):
            data = encoded(smooth(40, 28), "JPEG", **options)
            yield data, _pillows(data)
        data = encoded(smooth(40, 28), "JPEG", "CMYK")
        yield data, _pillows(data)


def _pillows(data: bytes) -> NDArray[np.uint8] | None:
    try:
        return PillowDecoder()(data)
    except Exception:  # noqa: BLE001  of a format that Pillow does not read
        return None


RULES = (
    *SENT_RULES,
    builds,
    pixels_are_pixels,
    pixels_are_pillows,
    pixels_stay,
    errors_are_explained,
    threads_share_it,
    batches_are_kept_apart,
)
