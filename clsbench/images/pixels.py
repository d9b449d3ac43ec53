"""From what Pillow decoded to 8-bit RGB: what happens to alpha, to more than 8 bits, and to further frames."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageOps

from clsbench.errors import ImageError

#: How pixels are read: the same for every decoder, format and command.
PIXEL_RULES = {
    "alpha": "dropped, as Pillow's convert('RGB') does: the colours stored below it show, over no background",
    "high_bit_depth": (
        "grey of 9 to 16 bits is scaled to 8 bits by the range that the file declares (TIFF: SMinSampleValue and "
        "SMaxSampleValue, or MinSampleValue and MaxSampleValue; PGM: maxval), or else by its bit depth, and rounded; "
        "signed, 32-bit and floating-point grey, and 16-bit grey of which no value needs more than 12 bits, only by a "
        "declared range, without one the image is 'unsupported'; "
        "of 16-bit colours the high byte is used"
    ),
    "frames": "the first frame of an animation or of several pages, the largest image of an icon",
}

#: Larger images are converted in bands of about so many pixels: no second copy of them is made.
BAND_PIXELS = 1 << 20

#: An image of 16 bits that uses only so many is black, or more likely of fewer bits, as those of many cameras are.
DARK_BITS = 12

#: TIFF 6.0, and Supplement 1: tags that declare bit depth and range.
_BITS, _PHOTOMETRIC, _MIN, _MAX, _FORMAT, _SMIN, _SMAX = 258, 262, 280, 281, 339, 340, 341

#: Pillow's mode of grey values is I;16 for these, whose values are signed, and no range is read.
_SIGNED_FORMATS = ("FITS",)


class GreyRange(NamedTuple):
    """What is black and what is white in an image of more than 8 bits.

    Args:
        low, high: These values; what is beyond them is clipped.
        step: Values were multiplied by it to fill 16 bits, and rounded: PGM, JPEG 2000.
        white_is_zero: ``low`` is white.
    """

    low: float
    high: float
    step: float = 1.0
    white_is_zero: bool = False

    def to_8_bits(self, values: NDArray[Any]) -> NDArray[np.uint8]:
        """Values of any type -> uint8 of the same shape: scaled, clipped and rounded; NaN is black."""
        if values.dtype.kind == "u" and values.dtype.itemsize == 2 and values.size > 65536:
            table = self._scale(np.arange(65536))  # the same, faster
            levels: NDArray[np.uint8] = table[values]
            return levels
        if values.dtype.kind == "i" and self.high > np.iinfo(np.int32).max:
            values = values.view(np.uint32)  # Pillow has no unsigned mode
        return self._scale(values)

    def _scale(self, values: NDArray[Any]) -> NDArray[np.uint8]:
        exact = values.astype(np.float64)
        if self.step != 1:
            exact = np.round(exact / self.step)
        levels = np.nan_to_num((exact - self.low) * 255 / (self.high - self.low), nan=0.0, posinf=255.0, neginf=0.0)
        rounded: NDArray[np.uint8] = np.rint(levels.clip(0, 255)).astype(np.uint8)
        return np.invert(rounded) if self.white_is_zero else rounded


#: The range where nothing but the bit depth says one.
_ALL_16_BITS = GreyRange(0, 65535)


def load(image: Image.Image, data: bytes = b"") -> GreyRange | None:
    """Decode an image that is open; what :func:`grey_range` says, which raises before the work where it can.

    Raises:
        ImageError: ``unsupported``.
    """
    grey = grey_range(image, data)
    image.load()  # which tells the mode of an icon only now
    grey = grey or grey_range(image, data)
    if grey == _ALL_16_BITS and 0 < int(np.asarray(image).max()) < 1 << DARK_BITS:
        raise ImageError(
            "unsupported",
            f"values use at most {DARK_BITS} of 16 bits, and the file does not say which value is white",
            got=f"values up to {int(np.asarray(image).max())}",
            expected="values up to 65535, or a TIFF file with MaxSampleValue (tag 281)",
            hint="scale the values to 0 to 255 and save it as 8-bit PNG",
        )
    return grey


def grey_range(image: Image.Image, data: bytes = b"") -> GreyRange | None:
    """The range of a grey image of more than 8 bits; None for any other. No pixel is decoded.

    Args:
        image: As it was opened, before ``load``.
        data: Its encoded bytes.

    Raises:
        ImageError: ``unsupported``, where nothing says what is black and what is white.
    """
    deep = image.mode.startswith("I;16")
    if not deep and image.mode not in ("I", "F"):
        return None
    if image.format == "TIFF":
        found = _tiff_range(image, deep)
    elif image.format == "PPM" and image.mode == "I":
        found = _pgm_range(image)
    elif image.format == "JPEG2000" and deep:
        found = _jpeg2000_range(data)
    else:
        found = GreyRange(0, 65535) if deep and image.format not in _SIGNED_FORMATS else None
    if found is None:
        kind = {"I": "32-bit or signed integers", "F": "floating-point numbers"}.get(image.mode, "signed integers")
        raise ImageError(
            "unsupported",
            f"pixels are {kind}, and the file does not say which values are black and white",
            expected="8 or 16 bits, or a TIFF file with SMinSampleValue and SMaxSampleValue (tags 340 and 341)",
            hint="scale the values to 0 to 255 and save it as 8-bit PNG",
        )
    return found


def _tiff_range(image: Image.Image, deep: bool) -> GreyRange | None:
    tags: Mapping[int, object] = getattr(image, "tag_v2", {})
    bits, signed = _number(tags.get(_BITS)) or 16, image.mode == "F" or (_number(tags.get(_FORMAT)) or 1) != 1
    low, high = _number(tags.get(_SMIN, tags.get(_MIN))), _number(tags.get(_SMAX, tags.get(_MAX)))
    if low is None and not signed:
        low = 0
    if high is None and deep:
        high = 2**bits - 1
    if low is None or high is None or not low < high:
        if not deep:
            return None
        low, high = 0, 2**bits - 1
    return GreyRange(low, high, white_is_zero=_number(tags.get(_PHOTOMETRIC)) == 0)


def _pgm_range(image: Image.Image) -> GreyRange:
    """By maxval. Pillow stretches values to 16 bits, one by one; those of binary files are read as they are."""
    tiles = getattr(image, "tile", [])
    args = tiles[0].args if tiles else None
    most = args[1] if isinstance(args, tuple) else 65535
    if not tiles or tiles[0].codec_name != "ppm":
        return GreyRange(0, most, step=65535 / most)
    tiles[0] = tiles[0]._replace(codec_name="raw", args="I;16B")
    return GreyRange(0, most)


def _jpeg2000_range(data: bytes) -> GreyRange:
    """Pillow has shifted the values up to 16 bits. Source: ISO/IEC 15444-1, A.5.1, the SIZ marker."""
    start = data.find(b"\xff\x4f\xff\x51")
    bits = (data[start + 42] & 0x7F) + 1 if 0 <= start < len(data) - 42 else 16
    return GreyRange(0, 65535) if bits >= 16 else GreyRange(0, 2**bits - 1, step=2 ** (16 - bits))


def _number(value: object) -> float | None:
    """The first number of a tag, finite; None where there is none."""
    first = value[0] if isinstance(value, tuple) and value else value
    try:
        number = float(first)  # type: ignore[arg-type]
    except (TypeError, ValueError, ZeroDivisionError):
        return None
    return number if np.isfinite(number) else None


def pixels_of(image: Image.Image, *, upright: bool) -> NDArray[np.uint8]:
    """The pixels of an image of Pillow's, which is left as it is, turned as its EXIF orientation says: uint8 (H, W, 3).

    Raises:
        ImageError: ``unsupported``.
    """
    grey = load(image)
    return to_rgb(ImageOps.exif_transpose(image) if upright else image.copy(), grey)


def to_rgb(image: Image.Image, grey: GreyRange | None = None) -> NDArray[np.uint8]:
    """The pixels of a loaded image by :data:`PIXEL_RULES`: uint8 (H, W, 3).

    Args:
        image: Loaded.
        grey: What :func:`load` said.
    """
    if isinstance(image.info.get("transparency"), bytes):
        del image.info["transparency"]  # the pixels are the same, the warning is not
    width, height = image.size
    if width * height <= 2 * BAND_PIXELS:
        return _rgb(image, grey)
    pixels, rows = np.empty((height, width, 3), np.uint8), max(1, BAND_PIXELS // width)
    for top in range(0, height, rows):
        band = image.crop((0, top, width, min(top + rows, height)))
        pixels[top : top + rows] = _rgb(band, grey)
    return pixels


def _rgb(image: Image.Image, grey: GreyRange | None) -> NDArray[np.uint8]:
    if grey is not None:
        return np.repeat(grey.to_8_bits(np.asarray(image))[:, :, None], 3, axis=2)
    return np.asarray(image if image.mode == "RGB" else image.convert("RGB"))
