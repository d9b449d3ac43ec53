"""The built-in decoders: encoded bytes to uint8 (H, W, 3) pixels, and the orientation.

Pillow is the reference and reads everything (:mod:`clsbench.images.pillow`); simplejpeg reads JPEG several times
faster with the same pixels, and leaves whatever it refuses to Pillow.
"""

from __future__ import annotations

import io
import threading
from collections.abc import Callable, Set
from typing import Protocol

import numpy as np
import simplejpeg
from numpy.typing import NDArray

from clsbench.errors import DataError, PluginError
from clsbench.guard import fault
from clsbench.images.formats import sniff
from clsbench.images.limits import Admit, check_pixels
from clsbench.images.pillow import PillowDecoder, open_image

__all__ = [
    "Decoder",
    "PillowDecoder",
    "Scratch",
    "SimplejpegDecoder",
    "formats_of",
    "jpeg_size",
    "orientation",
    "upright",
]

ORIENTATION_TAG = 0x0112

#: Formats that Pillow or libheif turns while decoding, and formats that hold no orientation.
_UPRIGHT = frozenset({"tiff", "heic", "bmp", "dib", "ppm", "pcx", "sgi", "qoi", "dds"})

#: What stands in a file with an orientation: without it Pillow is not asked, which reads a PNG file to its end for one.
_MARKS = {
    "jpeg": (b"Exif\x00", b"tiff:Orientation"),
    "png": (b"eXIf", b"Raw profile type ", b"XML:com.adobe.xmp"),
    "webp": (b"EXIF", b"XMP "),
}

#: (width, height) -> a power of two to decode smaller by.
Shrink = Callable[[int, int], int]


class Scratch(threading.local):
    """Memory of one thread to decode into, again and again: fresh pages cost a tenth of the time."""

    #: Larger images, bytes, get memory of their own, so that one of them does not stay.
    LIMIT = 1 << 26

    def __init__(self) -> None:
        self._buffer = np.empty(1 << 20, np.uint8)

    def take(self, size: int) -> NDArray[np.uint8] | None:
        """At least ``size`` bytes, uint8; None beyond the limit."""
        if size > self.LIMIT:
            return None
        if size > self._buffer.size:
            self._buffer = np.empty(min(2 * size, self.LIMIT), np.uint8)
        return self._buffer


class Decoder(Protocol):
    """Turns encoded bytes into pixels; see ``register_decoders``.

    It may declare which keyword arguments it takes in a set ``accepts``: ``admit``, an
    :data:`clsbench.images.limits.Admit` to ask before pixels are decoded, ``scratch``, a
    :class:`Scratch` to decode into, and ``shrink``, a :data:`Shrink`. ``defers = True`` means
    that what it refuses goes without saying, because the next decoder reads it or says why not.
    What it raises ends up in the row of the image, an ImageError with its reason code.
    """

    formats: frozenset[str]

    def __call__(self, data: bytes) -> NDArray[np.uint8]:
        """Encoded bytes -> uint8 (H, W, 3)."""


def formats_of(decoder: Decoder) -> Set[str]:
    """The names of the formats that a decoder reads.

    Raises:
        PluginError: if it does not say so.
    """
    formats = decoder.formats
    if not isinstance(formats, Set) or not all(isinstance(name, str) for name in formats):
        raise fault(decoder, "has unusable formats", repr(formats), "a set of format names", PluginError)
    return formats


class SimplejpegDecoder:
    """libjpeg-turbo without Pillow's overhead, outside the interpreter lock."""

    formats, accepts, defers = frozenset({"jpeg"}), frozenset({"admit", "scratch", "shrink"}), True

    def __call__(
        self,
        data: bytes,
        *,
        admit: Admit = check_pixels,
        scratch: Scratch | None = None,
        shrink: Shrink | None = None,
    ) -> NDArray[np.uint8]:
        """JPEG bytes -> uint8 (H, W, 3), the same pixels as Pillow's.

        Args:
            data: The encoded image.
            admit: Asked with the size that the header says, before anything is decoded.
            scratch: Memory to decode into; the pixels are then valid until its next use.
            shrink: Chooses a power of two from (width, height); the image is decoded
                that many times smaller, in the DCT domain. Not the same pixels.

        Raises:
            DataError: for what is left to Pillow: CMYK, damaged or huge images.
        """
        try:
            height, width, colorspace, _ = simplejpeg.decode_jpeg_header(data)
            if colorspace in ("CMYK", "YCCK"):
                raise DataError(f"{colorspace} JPEG is left to Pillow")
            admit(width, height)
            buffer = scratch.take(height * width * 3) if scratch else None
            factor, smallest = shrink(width, height) if shrink else 1, {}
            if factor > 1:
                smallest = {"min_height": -(-height // factor), "min_width": -(-width // factor), "min_factor": factor}
            pixels: NDArray[np.uint8] = simplejpeg.decode_jpeg(data, "RGB", buffer=buffer, **smallest)
            return pixels
        except ValueError as error:
            raise DataError(f"damaged image: {error}") from None


def jpeg_size(content: object) -> tuple[int, int] | None:
    """Width and height of an encoded JPEG, from its header; None for anything else."""
    if not isinstance(content, bytes) or sniff(content) != "jpeg":
        return None
    try:
        height, width, *_ = simplejpeg.decode_jpeg_header(content)
    except ValueError:
        return None
    return width, height


def orientation(data: bytes, form: str) -> int:
    """The orientation a camera recorded, 1 to 8; 1 where there is none.

    Args:
        data: The encoded image.
        form: Its format, from :func:`clsbench.images.formats.sniff`.

    Source: EXIF 2.3, tag 0x0112; in XMP, tiff:Orientation.
    """
    if form in _UPRIGHT or not any(mark in data for mark in _MARKS.get(form, (b"",))):
        return 1
    try:
        with open_image(io.BytesIO(data)) as image:
            value = image.getexif().get(ORIENTATION_TAG, 1)
    except Exception:  # noqa: BLE001  a damaged EXIF block is no reason to lose the image
        return 1
    return value if value in range(1, 9) else 1


def upright(pixels: NDArray[np.uint8], orientation: int) -> NDArray[np.uint8]:
    """Turn (H, W, 3) pixels as the EXIF orientation says, like ``ImageOps.exif_transpose``."""
    if orientation in (5, 6, 7, 8):
        pixels = pixels.transpose(1, 0, 2)
    if orientation in (2, 3, 6, 7):
        pixels = pixels[:, ::-1]
    if orientation in (3, 4, 7, 8):
        pixels = pixels[::-1]
    return np.ascontiguousarray(pixels)
