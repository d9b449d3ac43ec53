"""Pillow as a decoder: the reference, which reads every format that is read at all and says why not of any other."""

from __future__ import annotations

import io
import logging
import re
import struct
from collections.abc import Callable
from functools import cache
from typing import IO, Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageFile

from clsbench.errors import ImageError
from clsbench.file_kinds import HEAD, file_kind
from clsbench.images.formats import FORMATS, UNREAD, sniff
from clsbench.images.libtiff import silence_libtiff
from clsbench.images.limits import Admit, check_pixels
from clsbench.images.pixels import load, to_rgb

#: Pillow's readers that are not used on files from strangers: EPS starts Ghostscript, IPTC opens what it contains with
#: any reader, WMF asks the system, the others hold no image of their own.
_UNSAFE = frozenset({"EPS", "IPTC", "WMF", "BUFR", "GRIB", "HDF5", "MPEG", "MIC", "FPX"})

#: All that Pillow brings: what other packages have added to it since is not known to be safe.
_PILLOWS_OWN = "PIL."

# Pillow logs what is wrong with a TIFF file, which a program without logging would find on its terminal.
logging.getLogger("PIL").addHandler(logging.NullHandler())

Image.init()
PILLOW_FORMATS = tuple(
    name for name in Image.ID if name not in _UNSAFE and Image.OPEN[name][0].__module__.startswith(_PILLOWS_OWN)
)

#: What Pillow says of images that are whole, but of a kind that it does not read.
_UNSUPPORTED = re.compile(r"unsupported|not supported|not (yet )?implemented|not available|not installed|unknown", re.I)

#: Formats whose beginning is too short a mark to say that a file is an image, if its header says that it is none;
#: Pillow's readers without a mark at all are tried on them too.
_WEAK = frozenset({"unknown", "pcd", "ppm", "cur", "fli", "gbr", "xbm", "im", "fits", "mcidas"})

_HEIF_HINT = "pip install 'clsbench[heif]', or convert it to JPEG"

#: TIFF 6.0 and TIFF/EP: tags of a small image that stands before the real one.
_SUBFILE_TYPE, _SUB_IFDS, _DNG_VERSION = 254, 330, 50706


def open_image(file: IO[bytes]) -> ImageFile.ImageFile:
    """Open an image by its content, as ``Image.open`` does: its header is read, its pixels are not.

    Only safe readers are used, what they refuse has its reason, and nothing is limited or warned of.

    Args:
        file: At its beginning.

    Raises:
        ImageError: if none of them reads it.
        Exception: almost any, for damaged headers.
    """
    head = file.read(max(HEAD, 512))
    form, failure = sniff(head), ""
    if form in UNREAD:
        raise ImageError("unsupported", f"{UNREAD[form].what}, which is not read here", hint=UNREAD[form].hint)
    if form == "tiff":
        silence_libtiff()
    for name in ("HEIF",) if form == "heic" else PILLOW_FORMATS:
        factory, accept = _heif() if name == "HEIF" else Image.OPEN[name]
        accepted = accept(head[:16]) if accept else form in _WEAK or name == "HEIF"
        if isinstance(accepted, str):
            raise ImageError("unsupported", accepted)
        if not accepted:
            continue
        file.seek(0)
        try:
            return _checked(factory(file, ""))
        except (SyntaxError, IndexError, TypeError, struct.error) as error:  # as Pillow does: the next one may
            failure = _said(error) if accept else failure
    raise _unidentified(head, form, failure)


def raise_pillows_limit(pixels: int) -> None:
    """Let Pillow open images of so many pixels, in the whole process; what it allows already stays allowed."""
    if Image.MAX_IMAGE_PIXELS is not None:
        Image.MAX_IMAGE_PIXELS = max(Image.MAX_IMAGE_PIXELS, -(-pixels // 2))


def _checked(image: ImageFile.ImageFile) -> ImageFile.ImageFile:
    """Refuse what Pillow opens of some TIFF files: the thumbnail of a raw photo, black where strips are missing."""
    tags = getattr(image, "tag_v2", {}) if image.format == "TIFF" else {}
    if _DNG_VERSION in tags or (_SUB_IFDS in tags and tags.get(_SUBFILE_TYPE) == 1):
        raise ImageError(
            "unsupported",
            "a camera raw image (DNG, NEF or the like), which is not read here",
            hint="develop it to JPEG or TIFF, for example with darktable or rawpy",
        )
    if image.format == "TIFF":
        areas = [(e[2] - e[0]) * (e[3] - e[1]) for tile in image.tile if (e := tile.extents)]
        if sum(areas) < image.width * image.height:
            raise ImageError("truncated", "damaged image: its strips or tiles do not cover it")
    return image


@cache
def _heif() -> tuple[Callable[[IO[bytes], str], Any], None]:
    """The reader of HEIC files, without adding it to Pillow's for the whole process."""
    try:
        from pillow_heif import HeifImageFile
    except ImportError:
        raise ImageError("unsupported", "a HEIC image, for which pillow-heif is needed", hint=_HEIF_HINT) from None
    return HeifImageFile, None


def _unidentified(head: bytes, form: str, failure: str) -> ImageError:
    """The error for what no reader opened."""
    if _UNSUPPORTED.search(failure) and form != "unknown":
        return ImageError("unsupported", f"an image of a kind that is not read here: {failure}")
    if form not in _WEAK:
        return ImageError("truncated", f"damaged image: {failure or 'its header cannot be read'}", got=f"{form} data")
    if kind := file_kind(head):
        hint = "git lfs pull brings the image" if "LFS" in kind else None
        return ImageError("not_an_image", f"this is {kind}, not an image in a known format", hint=hint)
    return ImageError("not_an_image", "not an image in a known format", got=f"it begins with {head[:8]!r}")


class PillowDecoder:
    """The reference: what ``Image.open(…).convert("RGB")`` gives, but for :data:`clsbench.images.pixels.PIXEL_RULES`.

    >>> PillowDecoder().formats == FORMATS
    True
    """

    formats, accepts = FORMATS, frozenset({"admit"})

    def __call__(self, data: bytes, *, admit: Admit = check_pixels) -> NDArray[np.uint8]:
        """Encoded bytes -> uint8 (H, W, 3).

        Args:
            data: The encoded image.
            admit: Asked with the size that the header says, before anything is decoded.

        Raises:
            ImageError: if this is not an image that Pillow can read whole.
        """
        opened = False
        try:
            with open_image(io.BytesIO(data)) as image:
                opened = True
                admit(*image.size)
                return to_rgb(image, load(image, data))
        except ImageError:
            raise
        except Exception as error:  # noqa: BLE001  damaged files raise almost anything
            raise _damaged(data, opened, error) from None


def _damaged(data: bytes, opened: bool, error: Exception) -> ImageError:
    """What an exception of Pillow's says of an image."""
    text = _said(error)
    if isinstance(error, Image.DecompressionBombError):
        return ImageError("too_large", "the image is too large", got=text)
    if isinstance(error, MemoryError):
        return ImageError("too_large", "the memory does not suffice for the image")
    if not opened and sniff(data) in _WEAK:
        return _unidentified(data[:HEAD], "unknown", text)
    if isinstance(error, NotImplementedError) or _UNSUPPORTED.search(text):
        return ImageError("unsupported", f"an image of a kind that is not read here: {text}")
    return ImageError("truncated", f"damaged image: {text}")


def _said(error: Exception) -> str:
    """The message of an exception, which may quote the file: printable, and not longer than a line."""
    text = str(error) or type(error).__name__
    return "".join(character if character.isprintable() else "?" for character in text[:200])
