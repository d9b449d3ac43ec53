"""What ``Model.predict`` and ``Model.embed`` take: one image or many, in any of the usual forms."""

from __future__ import annotations

import os
from collections.abc import Iterable
from typing import Any

import numpy as np
from PIL import Image

from clsbench.errors import DataError
from clsbench.images.entries import BytesEntry, Entry, PixelsEntry
from clsbench.images.pixels import pixels_of
from clsbench.images.sources.opening import holds_many, open_images
from clsbench.images.sources.paths import listed_entry


def entries_of(images: Any, *, upright: bool) -> Entry | Iterable[Entry]:
    """The entry of one image, or those of many.

    Args:
        images: A path or URL, encoded bytes, an image of Pillow or pixels uint8 (H, W, 3); a folder, an archive, or an
            iterable of those.
        upright: Whether images of Pillow are turned as their EXIF says.

    Raises:
        DataError: if it is none of these.
    """
    if isinstance(images, str | os.PathLike) and holds_many(images):
        return open_images(images).entries
    if _is_image(images):
        return entry_of(images, "", upright=upright)
    if isinstance(images, Iterable):
        return (entry_of(image, str(k), upright=upright) for k, image in enumerate(images))
    raise _not_an_image(images)


def entry_of(image: Any, name: str, *, upright: bool) -> Entry:
    """An entry of one image; paths are named by themselves.

    Raises:
        DataError: if it is not an image in any of these forms.
    """
    if isinstance(image, str | os.PathLike):
        return listed_entry("", os.fspath(image))
    if isinstance(image, bytes):
        return BytesEntry(name, image)
    if isinstance(image, np.ndarray):
        if image.dtype != np.uint8 or image.ndim != 3 or image.shape[2] != 3 or not image.size:
            raise DataError(
                "pixels must be uint8 (H, W, 3)",
                got=f"{image.dtype} {image.shape}",
                hint="convert them, or pass the path of the file",
            )
        return PixelsEntry(name, np.ascontiguousarray(image))
    if isinstance(image, Image.Image):
        return PixelsEntry(name, pixels_of(image, upright=upright))
    raise _not_an_image(image)


def _is_image(value: object) -> bool:
    if isinstance(value, np.ndarray):
        return value.ndim != 4  # a batch of images is many
    if isinstance(value, str | os.PathLike | bytes):
        return True
    return isinstance(value, Image.Image)


def _not_an_image(value: object) -> DataError:
    return DataError(
        "this is not an image",
        got=type(value).__name__,
        expected="a path, bytes, an image of Pillow, pixels uint8 (H, W, 3), or an iterable or folder of those",
    )
