"""Archives as open files that every thread reads from at once: one descriptor each, and no position in it.

A compressed tar is decompressed once, and an archive in a network copied once, each into an unnamed temporary file that
vanishes with the process, whatever ends it. Nothing is unpacked.
"""

from __future__ import annotations

import bz2
import gzip
import lzma
import os
import shutil
import tempfile
import threading
from collections import OrderedDict
from collections.abc import Callable
from typing import IO, Any

from clsbench.errors import ClsbenchError, DataError, ImageError
from clsbench.images.sources.urls import is_url, redacted, without_secrets
from clsbench.text import file_size

#: The most bytes of one image in an archive or a network, as of one in a file.
LARGEST = 1 << 30

#: Archives that are open at a time, beside those that had to be copied.
OPEN = 64

#: Bytes that are copied at a time, and those that stay free where they go to.
_PART, _RESERVE = 1 << 22, 1 << 28

#: How many times its size an archive may have when it is decompressed, and what is allowed in any case.
_EXPANSION, _ALLOWED = 200, 1 << 30


class Store:
    """An open file; it is closed when nobody holds it any more.

    Args:
        descriptor: Of the file; this object's own from now on.
        damage: Why it holds less than it should, if it does.
    """

    def __init__(self, descriptor: int, damage: str | None = None) -> None:
        self._descriptor, self.damage = descriptor, damage
        self.size = os.fstat(descriptor).st_size

    def read(self, offset: int, size: int) -> bytes:
        """Bytes from a place on; fewer where the file ends."""
        data = os.pread(self._descriptor, size, offset)
        while 0 < len(data) < size and (more := os.pread(self._descriptor, size - len(data), offset + len(data))):
            data += more
        return data

    def file(self) -> IO[bytes]:
        """The file from its beginning, for libraries; to be closed, and for one thread at a time."""
        os.lseek(self._descriptor, 0, os.SEEK_SET)
        return open(os.dup(self._descriptor), "rb")

    def __del__(self) -> None:
        if (descriptor := getattr(self, "_descriptor", None)) is not None:
            os.close(descriptor)


_lock = threading.Lock()
_files: OrderedDict[str, Store] = OrderedDict()
_copies: dict[str, Store] = {}
#: One at a time: two threads that need the same archive must not copy it twice.
_copying = threading.Lock()


def open_store(location: str) -> Store:
    """The open file of an archive, decompressed; the same for every caller while it stays open.

    Raises:
        DataError: if it cannot be read, or there is no room for a copy.
    """
    key = location if is_url(location) else os.path.abspath(location)
    with _lock:
        if (store := _copies.get(key) or _files.get(key)) is not None:
            if key in _files:
                _files.move_to_end(key)
            return store
    store = None if is_url(location) else Store(_descriptor(location))
    if store is not None and compression(store.read(0, 6)) is None:
        with _lock:
            _files[key] = store
            while len(_files) > OPEN:
                _files.popitem(last=False)
        return store
    with _copying:
        if key not in _copies:
            _copies[key] = _copied(location)
        return _copies[key]


def forget(location: str) -> None:
    """Let go of an archive, so that it is opened anew next time."""
    key = location if is_url(location) else os.path.abspath(location)
    with _lock:
        _files.pop(key, None)
        _copies.pop(key, None)


def read_range(location: str, offset: int, size: int) -> bytes:
    """A part of an archive, which has to be there in full.

    Raises:
        ImageError: if it cannot be read, is larger than :data:`LARGEST`, or the archive ends before.
    """
    if size > LARGEST:
        raise ImageError("too_large", "the file in the archive is too large", got=file_size(size))
    try:
        data = open_store(location).read(offset, size)
    except (OSError, DataError) as error:
        said = error.one_line() if isinstance(error, DataError) else error.strerror
        raise ImageError("unreadable", f"the archive cannot be read: {said}") from None
    if len(data) < size:
        raise ImageError("truncated", "the archive ends within the file", got=f"{len(data)} of {size} bytes")
    return data


def changed(location: str) -> int:
    """When an archive was changed, in nanoseconds; -1 where that cannot be asked, as in a network."""
    try:
        return -1 if is_url(location) else os.stat(location).st_mtime_ns
    except OSError:
        return -1


def compression(head: bytes) -> str | None:
    """How a file is compressed, by its first bytes; None for one that is not.

    >>> compression(bytes.fromhex("1f8b08")), compression(b"BZh9"), compression(b"photos/")
    ('gz', 'bz2', None)
    """
    marks = {"gz": b"\x1f\x8b", "bz2": b"BZh", "xz": b"\xfd7zXZ\x00"}
    return next((name for name, mark in marks.items() if head.startswith(mark)), None)


def _descriptor(path: str) -> int:
    try:
        return os.open(path, os.O_RDONLY | getattr(os, "O_CLOEXEC", 0))
    except OSError as error:
        raise DataError("the archive cannot be read", where=path, got=error.strerror) from None


def _copied(location: str) -> Store:
    """An archive in a temporary file, decompressed."""
    if not is_url(location):
        with open(_descriptor(location), "rb") as raw:
            return _copy(raw, location)
    from clsbench.images.sources.remote import opened

    try:
        with opened(location) as raw:
            return _copy(raw, location)
    except (ClsbenchError, MemoryError):
        raise
    except Exception as error:  # noqa: BLE001  file systems raise almost anything
        got = "there is no such file" if isinstance(error, FileNotFoundError) else without_secrets(error, location)
        raise DataError("the file cannot be read", where=redacted(location), got=got) from None


def _copy(raw: IO[bytes], location: str) -> Store:
    source = _Beginning(raw)
    compressed, written, checked, damage = compression(source.head), 0, 0, None
    readers: dict[str | None, Callable[..., Any]] = {"gz": _gzip, "bz2": bz2.BZ2File, "xz": lzma.LZMAFile}
    # In small parts, so that what comes before a damage is not lost with it.
    read = readers[compressed](source).read1 if compressed else source.read
    with tempfile.TemporaryFile(prefix="clsbench-") as copy:
        while True:
            try:
                part = read(_PART)
            except Exception as error:  # noqa: BLE001  decompressors and networks raise almost anything
                said = without_secrets(error, location) or type(error).__name__
                damage = f"cut off or damaged: {said}"
                break
            if not part:
                break
            written += len(part)
            if written >= checked:
                _check_room(written, source.taken, location, bool(compressed))
                checked = written + _PART
            copy.write(part)
        copy.flush()
        return Store(os.dup(copy.fileno()), damage)


def _gzip(source: _Beginning) -> gzip.GzipFile:
    return gzip.GzipFile(fileobj=source)  # type: ignore[call-overload, no-any-return]


def _check_room(written: int, taken: int, location: str, compressed: bool) -> None:
    """Refuse what grows out of proportion, or leaves no room on the disk for others."""
    if compressed and written > _ALLOWED + _EXPANSION * taken:
        raise DataError(
            "the archive grows without measure when it is decompressed", where=redacted(location),
            got=f"{file_size(written)} from {file_size(taken)}", expected="an archive of images",
        )  # fmt: skip
    folder = tempfile.gettempdir()
    if (free := shutil.disk_usage(folder).free) < 2 * _PART + _RESERVE:
        raise DataError(
            "there is not enough room for a temporary copy of the archive", where=redacted(location),
            got=f"{free / 1e9:.1f} GB in {folder}", expected=f"more than the {written / 1e9:.1f} GB copied so far",
            hint="set TMPDIR to a folder with more room",
        )  # fmt: skip


class _Beginning:
    """A file whose first bytes are known before they are read; ``taken`` is how many bytes it has given."""

    closed = False

    def __init__(self, file: IO[bytes]) -> None:
        self._file, self.taken = file, 0
        self.head = self._waiting = file.read(6)

    def read(self, size: int = -1) -> bytes:
        """The next bytes; fewer than asked for do not mean the end."""
        if self._waiting:
            cut = len(self._waiting) if size < 0 else size
            data, self._waiting = self._waiting[:cut], self._waiting[cut:]
        else:
            data = self._file.read(size)
        self.taken += len(data)
        return data

    def readable(self) -> bool:
        """It is."""
        return True

    def seekable(self) -> bool:
        """It is not."""
        return False
