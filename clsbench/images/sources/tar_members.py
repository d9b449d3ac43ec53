"""What is in a tar archive: its headers are read once, its files where they lie."""

from __future__ import annotations

import tarfile
from collections.abc import Iterator
from dataclasses import dataclass

from clsbench.file_kinds import HEAD
from clsbench.images.sources.members import Member, unreadable
from clsbench.images.sources.stores import Store, changed, open_store, read_range

_BLOCK = tarfile.BLOCKSIZE


@dataclass(frozen=True, slots=True)
class TarEntry:
    """An image in a tar archive.

    Args:
        archive: Path or URL of the archive.
        name: See :class:`clsbench.images.entries.Entry`.
        offset, size: Where it lies in the decompressed archive, bytes.
    """

    archive: str
    name: str
    offset: int
    size: int

    def read(self) -> bytes:
        """The content of the file."""
        return read_range(self.archive, self.offset, self.size)

    def stamp(self) -> tuple[int, int]:
        """Its size, and when the archive was changed; see :func:`clsbench.images.sources.stores.changed`."""
        return self.size, changed(self.archive)


def head(location: str, offset: int, size: int) -> bytes:
    """The first bytes of a file in an archive."""
    return open_store(location).read(offset, min(size, HEAD))


def members(store: Store, location: str) -> Iterator[Member]:
    """Everything in a tar archive, in its order; where it is cut off or damaged, that comes last.

    Raises:
        DataError: if it is no tar archive.
    """
    with store.file() as file:
        try:
            archive = tarfile.TarFile(fileobj=file)
        except tarfile.TarError as error:
            raise unreadable(location, store.damage or error) from None
        last, end = "", 0
        with archive:
            while True:
                try:
                    info = archive.next()
                except (tarfile.TarError, ValueError, OSError, EOFError):
                    break
                archive.members.clear()  # type: ignore[attr-defined]  # it keeps them all
                if info is None or archive.offset <= info.offset:  # a negative size would lead back, without an end
                    break
                last, end = info.name, info.offset_data + (info.size if info.isreg() else 0)
                yield _member(info)
    end += -end % _BLOCK
    if not store.damage and last and store.read(end, _BLOCK) != bytes(_BLOCK):
        # tarfile itself takes a damaged header, and the end of the file within one, for the end of the archive.
        rest = "cut off" if end >= store.size else "damaged"
        yield Member("", reason=f"the archive is {rest} after {last}: what follows is missing", damage=True)


def _member(info: tarfile.TarInfo) -> Member:
    if info.isdir():
        return Member(f"{info.name}/")
    if info.issparse():
        return Member(info.name, reason="a sparse file in an archive")
    if info.isreg():
        return Member(info.name, (info.offset_data, info.size))
    return Member(
        info.name, reason="a link in an archive" if info.issym() or info.islnk() else "a device in an archive"
    )
