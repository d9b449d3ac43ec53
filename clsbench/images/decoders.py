"""The built-in decoders: encoded bytes to uint8 (H, W, 3) pixels, and the orientation.

Pillow is the reference and reads everything; simplejpeg reads JPEG several times faster
with the same pixels, and leaves whatever it refuses to Pillow.
"""

from __future__ import annotations

import io
import threading
from collections.abc import Callable, Set
from typing import Protocol

import numpy as np
import simplejpeg
from numpy.typing import NDArray
from PIL import Image, UnidentifiedImageError

from clsbench.errors import DataError, PluginError
from clsbench.guard import fault
from clsbench.images.formats import FORMATS, sniff

#: Pillow's readers that are safe on files from strangers: raster formats only, since
#: its EPS reader, for one, starts Ghostscript.
_SAFE = ("JPEG", "PNG", "GIF", "BMP", "DIB", "WEBP", "TIFF", "AVIF", "PPM", "JPEG2000", "ICO", "TGA", "QOI")

Image.init()
PILLOW_FORMATS = tuple(name for name in _SAFE if name in Image.OPEN)

#: Pillow's own hard limit against decompression bombs, pixels.
MAX_PIXELS = 2 * 89_478_485

ORIENTATION_TAG = 0x0112


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

    It may declare which keyword arguments it takes in a set ``accepts``: ``scratch``, a
    :class:`Scratch` to decode into, and ``shrink``, a :data:`Shrink`. ``defers = True`` means
    that what it refuses goes without saying, because the next decoder reads it or says why not.
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


class PillowDecoder:
    """The reference: what ``Image.open(…).convert("RGB")`` gives, first frame.

    >>> PillowDecoder().formats == FORMATS
    True
    """

    formats = FORMATS

    def __call__(self, data: bytes) -> NDArray[np.uint8]:
        """Encoded bytes -> uint8 (H, W, 3).

        Raises:
            DataError: if this is not an image that Pillow can read whole.
        """
        try:
            with Image.open(io.BytesIO(data), formats=PILLOW_FORMATS) as image:
                image.load()
                if isinstance(image.info.get("transparency"), bytes):
                    del image.info["transparency"]  # the pixels are the same, the warning is not
                return np.asarray(image.convert("RGB"))
        except UnidentifiedImageError:
            raise DataError("not an image in a known format", got=f"it begins with {data[:8]!r}") from None
        except Image.DecompressionBombError:
            raise DataError(
                "the image is too large to be decoded safely", expected=f"at most {MAX_PIXELS} pixels"
            ) from None
        except Exception as error:  # noqa: BLE001  damaged files raise almost anything
            raise DataError(f"damaged image: {str(error) or type(error).__name__}") from None


class SimplejpegDecoder:
    """libjpeg-turbo without Pillow's overhead, outside the interpreter lock."""

    formats, accepts, defers = frozenset({"jpeg"}), frozenset({"scratch", "shrink"}), True

    def __call__(
        self, data: bytes, *, scratch: Scratch | None = None, shrink: Shrink | None = None
    ) -> NDArray[np.uint8]:
        """JPEG bytes -> uint8 (H, W, 3), the same pixels as Pillow's.

        Args:
            data: The encoded image.
            scratch: Memory to decode into; the pixels are then valid until its next use.
            shrink: Chooses a power of two from (width, height); the image is decoded
                that many times smaller, in the DCT domain. Not the same pixels.

        Raises:
            DataError: for what is left to Pillow: CMYK, damaged or huge images.
        """
        try:
            height, width, colorspace, _ = simplejpeg.decode_jpeg_header(data)
            if colorspace in ("CMYK", "YCCK") or height * width > MAX_PIXELS:
                raise DataError(f"{colorspace} JPEG of {width} × {height} pixels is left to Pillow")
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

    Source: EXIF 2.3, tag 0x0112; in XMP, tiff:Orientation. TIFF needs no turning: Pillow
    applies its tag while decoding.
    """
    if form == "tiff" or (form == "jpeg" and b"Exif\x00" not in data and b"tiff:Orientation" not in data):
        return 1
    try:
        with Image.open(io.BytesIO(data), formats=PILLOW_FORMATS) as image:
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
