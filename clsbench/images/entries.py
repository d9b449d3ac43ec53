"""Entries: images by name. Sources and datasets hand them out, the loader opens them."""

from __future__ import annotations

import os
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from clsbench.errors import DataError

#: What an entry holds: an encoded image, or pixels, uint8 (H, W, 3).
Content = bytes | NDArray[np.uint8]

#: Bytes of a file, and its modification time in nanoseconds.
Stamp = tuple[int, int]


class Entry(Protocol):
    """One image. Picklable, and readable from any thread.

    >>> BytesEntry("a.png", b"\\x89PNG").read()
    b'\\x89PNG'
    """

    @property
    def name(self) -> str:
        """A stable id, unique in its source: a relative path."""

    def read(self) -> Content:
        """Encoded bytes, or pixels uint8 (H, W, 3).

        Raises:
            DataError: if it cannot be read.
        """


@dataclass(frozen=True, slots=True)
class FileEntry:
    """An image in a file.

    Args:
        name: See :class:`Entry`.
        path: Where it is; a relative path starts at the current folder.
    """

    name: str
    path: str

    def read(self) -> bytes:
        """The content of the file."""
        try:
            with open(self.path, "rb") as file:
                return file.read()
        except (OSError, ValueError) as error:  # ValueError: a NUL in the path
            raise DataError(f"the file cannot be read: {getattr(error, 'strerror', None) or error}") from None

    def stamp(self) -> Stamp | None:
        """Size and modification time of the file; None where it cannot be asked."""
        try:
            status = os.stat(self.path)
        except (OSError, ValueError):
            return None
        return status.st_size, status.st_mtime_ns


@dataclass(frozen=True, slots=True)
class BytesEntry:
    """An encoded image in memory."""

    name: str
    data: bytes

    def read(self) -> bytes:
        """The bytes."""
        return self.data


@dataclass(frozen=True, slots=True, eq=False)
class PixelsEntry:
    """A decoded image in memory.

    Args:
        name: See :class:`Entry`.
        pixels: uint8 (H, W, 3).
    """

    name: str
    pixels: NDArray[np.uint8]

    def read(self) -> NDArray[np.uint8]:
        """The pixels."""
        return self.pixels


def in_memory(name: str, content: Content) -> BytesEntry | PixelsEntry:
    """An entry of content that was read already."""
    return BytesEntry(name, content) if isinstance(content, bytes) else PixelsEntry(name, content)


def missing_files(entries: Iterable[Entry]) -> list[str]:
    """Names of the entries whose files do not exist; those in memory always do."""
    return [entry.name for entry in entries if isinstance(entry, FileEntry) and not os.path.isfile(entry.path)]


def stamps_of(entries: Sequence[Entry]) -> NDArray[np.int64]:
    """By what a change of images would show: int64 (N, 2), the stamp of each, -1 where there is none.

    >>> stamps_of([BytesEntry("a.png", b"")]).tolist()
    [[-1, -1]]
    """
    found = np.full((len(entries), 2), -1, np.int64)
    for row, entry in enumerate(entries):
        stamp = getattr(entry, "stamp", None)
        if stamp is not None and (value := stamp()) is not None:
            found[row] = value
    return found
