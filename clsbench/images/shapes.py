"""Sizes and channels of images as they are stored, from their headers: no pixel is decoded."""

from __future__ import annotations

import io
import struct
from dataclasses import dataclass
from typing import IO

from clsbench.errors import DataError
from clsbench.images.decoders import ORIENTATION_TAG, jpeg_size
from clsbench.images.entries import Content, Entry, FileEntry, open_file
from clsbench.images.loader import read
from clsbench.images.pillow import open_image


@dataclass(frozen=True)
class ImageShape:
    """An image as it is stored.

    Args:
        width, height: Upright, as the EXIF orientation says; pixels.
        mode: Pillow's word for its channels, such as ``RGB``, ``L`` (grey) or ``RGBA``.
        form: Its format, such as ``JPEG``; ``pixels`` for one that is in memory.
    """

    width: int
    height: int
    mode: str
    form: str


def read_shape(entry: Entry) -> ImageShape:
    """Look at the header of an image.

    Raises:
        DataError: if it cannot be read, or is no image.
    """
    if isinstance(entry, FileEntry):
        with open_file(entry.path) as file:
            return _header(file)
    content = read(entry)
    if isinstance(content, bytes):
        return _header(io.BytesIO(content))
    return ImageShape(content.shape[1], content.shape[0], "RGB", "pixels")


def shorter_side(content: Content) -> int:
    """The shorter side of an image in pixels, from its header; 0 where that cannot be read.

    Faster than :func:`read_shape` for JPEG and PNG.
    """
    if not isinstance(content, bytes):
        return int(min(content.shape[:2]))
    if content[12:16] == b"IHDR":
        return int(min(struct.unpack(">II", content[16:24].ljust(8, b"\0"))))
    if size := jpeg_size(content):
        return min(size)
    try:
        shape = _header(io.BytesIO(content))
    except DataError:
        return 0
    return min(shape.width, shape.height)


def _header(source: IO[bytes]) -> ImageShape:
    try:
        with open_image(source) as image:
            width, height = image.size
            if image.getexif().get(ORIENTATION_TAG) in (5, 6, 7, 8):
                width, height = height, width
            return ImageShape(width, height, image.mode, image.format or "?")
    except Exception as error:  # noqa: BLE001  damaged files raise almost anything
        raise DataError(f"the header of the image cannot be read: {str(error) or type(error).__name__}") from None
