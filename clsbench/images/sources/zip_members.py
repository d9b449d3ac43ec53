"""What is in a ZIP archive: its directory is read once, its files where they lie."""

from __future__ import annotations

import bz2
import stat
import zipfile
import zlib
from collections.abc import Iterator
from dataclasses import dataclass

from clsbench.errors import ImageError
from clsbench.file_kinds import HEAD
from clsbench.images.sources.members import Member, unreadable
from clsbench.images.sources.stores import LARGEST, Store, changed, read_range
from clsbench.text import file_size

#: Bytes of the header before a file, and those of a file that are decompressed to see what it is.
_HEADER, _PEEK = 30, 4096

_ENCRYPTED = 1


@dataclass(frozen=True, slots=True)
class ZipEntry:
    """An image in a ZIP archive.

    Args:
        archive: Path or URL of the archive.
        name: See :class:`clsbench.images.entries.Entry`.
        offset: Of its header, bytes.
        packed, size: Compressed, and as the directory declares it, bytes.
        method: Of the compression.
        crc: Checksum that the directory declares.
        flags: 1 for encrypted.
    """

    archive: str
    name: str
    offset: int
    packed: int
    size: int
    method: int
    crc: int
    flags: int

    def read(self) -> bytes:
        """The content of the file, which is as long as declared: a bomb stops there."""
        if self.flags & _ENCRYPTED:
            raise ImageError("unsupported", "the file in the archive is encrypted")
        if self.size > LARGEST:
            raise ImageError("too_large", "the file in the archive is too large", got=file_size(self.size))
        packed = read_range(self.archive, _start(self.archive, self.offset), self.packed)
        data = _unpacked(packed, self.method, self.size + 1)
        if len(data) != self.size or zlib.crc32(data) != self.crc:
            got = f"{len(data)} of {self.size} bytes" if len(data) < self.size else "other bytes than declared"
            raise ImageError("truncated", "the file in the archive is damaged", got=got)
        return data

    def stamp(self) -> tuple[int, int]:
        """Its size, and when the archive was changed; see :func:`clsbench.images.sources.stores.changed`."""
        return self.size, changed(self.archive)


def head(location: str, offset: int, packed: int, size: int, method: int, crc: int, flags: int) -> bytes:
    """The first bytes of a file in an archive.

    Raises:
        ImageError: if it cannot be read.
    """
    if flags & _ENCRYPTED:
        raise ImageError("unsupported", "the file in the archive is encrypted")
    first = read_range(location, _start(location, offset), min(packed, _PEEK))
    return _unpacked(first, method, HEAD)[:HEAD]


def _start(location: str, offset: int) -> int:
    """Where the bytes of a file begin: after its header, whose length the directory does not know."""
    header = read_range(location, offset, _HEADER)
    if header[:4] != b"PK\x03\x04":
        raise ImageError("truncated", "the archive is damaged: there is no file where its directory says")
    return offset + _HEADER + int.from_bytes(header[26:28], "little") + int.from_bytes(header[28:30], "little")


def _unpacked(data: bytes, method: int, most: int) -> bytes:
    """Decompressed, so many bytes at most."""
    try:
        if method == zipfile.ZIP_STORED:
            return data[:most]
        if method == zipfile.ZIP_DEFLATED:
            return zlib.decompressobj(-zlib.MAX_WBITS).decompress(data, most)
        if method == zipfile.ZIP_BZIP2:
            return bz2.BZ2Decompressor().decompress(data, most)
    except (zlib.error, OSError, EOFError) as error:
        raise ImageError("truncated", "the file in the archive is damaged", got=error) from None
    raise ImageError("unsupported", "the file in the archive is compressed in a way that is not read", got=method)


def members(store: Store, location: str) -> Iterator[Member]:
    """Everything in a ZIP archive, in the order of its directory.

    Raises:
        DataError: if it is no ZIP archive, or has lost its directory, which is at the end.
    """
    with store.file() as file:
        try:
            with zipfile.ZipFile(file) as archive:
                infos = archive.infolist()
        except (zipfile.BadZipFile, ValueError, OSError, NotImplementedError) as error:
            raise unreadable(location, store.damage or error) from None
    for info in infos:
        mode = info.external_attr >> 16
        if info.filename.endswith("/"):
            yield Member(info.filename)
        elif mode and stat.S_IFMT(mode) not in (0, stat.S_IFREG):
            yield Member(info.filename, reason="a link or device in an archive")
        else:
            place = (info.header_offset, info.compress_size, info.file_size, info.compress_type, info.CRC)
            yield Member(info.filename, (*place, info.flag_bits & _ENCRYPTED))
