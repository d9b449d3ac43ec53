"""Entries: images by name. Sources and datasets hand them out, the loader opens them."""

from __future__ import annotations

import os
import stat
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import BinaryIO, NoReturn, Protocol

import numpy as np
from numpy.typing import NDArray

from clsbench.errors import ImageError
from clsbench.images.limits import MAX_BYTES, too_many_bytes

#: What an entry holds: an encoded image, or pixels, uint8 (H, W, 3).
Content = bytes | NDArray[np.uint8]

#: Bytes of a file, and its modification time in nanoseconds.
Stamp = tuple[int, int]

#: How files are opened: what is none, a FIFO for example, answers at once and changes nothing.
_FLAGS = os.O_RDONLY | sum(getattr(os, name, 0) for name in ("O_BINARY", "O_CLOEXEC", "O_NOCTTY", "O_NONBLOCK"))

_KINDS = {
    stat.S_IFDIR: "a folder",
    stat.S_IFIFO: "a pipe (FIFO)",
    stat.S_IFSOCK: "a socket",
    stat.S_IFCHR: "a device",
    stat.S_IFBLK: "a device",
}


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
            DataError: if it cannot be read; an ImageError has a reason code of its own.
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
        """The content of the file.

        Raises:
            ImageError: ``missing``, ``unreadable``, or ``too_large`` beyond 1 GiB.
        """
        try:
            descriptor, size = _open_regular(self.path)
            try:
                return _read(descriptor, size)
            finally:
                os.close(descriptor)
        except (OSError, ValueError) as error:
            _refuse(error)

    def stamp(self) -> Stamp | None:
        """Size and modification time of the file; None where it cannot be asked."""
        try:
            status = os.stat(self.path)
        except (OSError, ValueError):
            return None
        return status.st_size, status.st_mtime_ns


def open_file(path: str) -> BinaryIO:
    """Open a regular file; raises as :meth:`FileEntry.read`."""
    try:
        return os.fdopen(_open_regular(path)[0], "rb")
    except (OSError, ValueError) as error:
        _refuse(error)


def _open_regular(path: str) -> tuple[int, int]:
    """Descriptor and size in bytes of a file; a pipe or a device is not waited for, and not read."""
    descriptor = os.open(path, _FLAGS)
    status = os.fstat(descriptor)
    if stat.S_ISREG(status.st_mode) and status.st_size <= MAX_BYTES:
        return descriptor, status.st_size
    os.close(descriptor)
    if stat.S_ISREG(status.st_mode):
        too_many_bytes(status.st_size)
    kind = _KINDS.get(stat.S_IFMT(status.st_mode), "no regular file")
    raise ImageError("unreadable", f"the file cannot be read: it is {kind}")


def _read(descriptor: int, size: int) -> bytes:
    """All bytes of a file, which may have another size than it says: those of /proc have."""
    data = os.read(descriptor, size + 1)
    if 0 < len(data) == size:
        return data
    parts, length = [data], len(data)
    while part := os.read(descriptor, 1 << 20):
        parts.append(part)
        length += len(part)
        if length > MAX_BYTES:
            too_many_bytes()
    return b"".join(parts)


def _refuse(error: OSError | ValueError) -> NoReturn:
    """The error of a row for what the system says of a file; ValueError: a NUL in the path."""
    missing = isinstance(error, FileNotFoundError | NotADirectoryError)
    text = getattr(error, "strerror", None) or error
    raise ImageError("missing" if missing else "unreadable", f"the file cannot be read: {text}") from None


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
