"""ArchiveSource: the images in a tar or ZIP archive, read where they lie.

What is in an archive is data from strangers: names are labels, never paths on this machine, and links and devices
are passed over. Names are sorted, as in a folder, so that an archive of a folder gives the rows of the folder.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Collection, Iterator
from functools import partial
from pathlib import Path

import numpy as np

from clsbench.images.entries import Entry
from clsbench.images.formats import SUFFIXES
from clsbench.images.sources.compact import CompactEntries, CompactNames
from clsbench.images.sources.content import HIDDEN, hidden_part, why_not
from clsbench.images.sources.folder import no_images
from clsbench.images.sources.members import Member
from clsbench.images.sources.source import Skipped
from clsbench.images.sources.stores import Store, open_store
from clsbench.images.sources.urls import is_url, path_of, redacted, without_file_scheme

#: Suffixes of archives.
ARCHIVES = (".tar", ".tar.gz", ".tgz", ".tar.bz2", ".tbz2", ".tar.xz", ".txz", ".zip")

DOUBLE = "a file of the same name comes later in the archive"


#: The members of an archive; builds the entry of one from location, name and place; gives the first bytes of one.
Index = tuple[Iterator[Member], Callable[..., Entry], Callable[..., bytes]]


class ArchiveSource:
    """Every image in an archive, sorted by name, chosen as in a folder; of two files of one name the last counts.

    Args:
        location: The archive, or its URL.
        prefix: Stands before every name.
        suffixes: As for :class:`clsbench.images.sources.folder.FolderSource`.

    Raises:
        DataError: if it cannot be read, or holds no image.
    """

    def __init__(self, location: Path | str, prefix: str = "", *, suffixes: Collection[str] = SUFFIXES) -> None:
        place = without_file_scheme(str(location))
        self.location, self.skipped, self.folders = redacted(place), list[Skipped](), list[str]()
        self._hidden: set[str] = set()
        store = open_store(place)
        members, make, head = _index(store, place)
        found, wanted = dict[str, tuple[int, ...]](), frozenset(suffixes)
        for member in members:
            self._take(member, prefix, wanted, found, partial(head, place))
        if store.damage:
            self.skipped.append(Skipped(self.location, f"the archive is {store.damage}", damage=True))
        if not found:
            raise no_images(self.location, self.skipped, suffixes)
        names = sorted(found)
        columns = [np.fromiter(values, np.int64, len(names)) for values in zip(*map(found.get, names), strict=True)]
        self.entries = CompactEntries(CompactNames.of(names), partial(make, place), columns)

    def _take(
        self,
        member: Member,
        prefix: str,
        suffixes: frozenset[str],
        found: dict[str, tuple[int, ...]],
        head: Callable[..., bytes],
    ) -> None:
        name = prefix + _cleaned(member.name)
        if member.damage:
            self.skipped.append(Skipped(self.location, member.reason or "", damage=True))
        elif name == prefix:  # the archive's own folder; a file without a name is damage
            if not member.name.endswith("/"):
                self.skipped.append(Skipped(self.location, "a file in it has no name", damage=True))
        elif hidden := hidden_part(name[len(prefix) :]):
            if hidden.endswith("/") and hidden not in self._hidden:
                self._hidden.add(hidden)
                self.skipped.append(Skipped(prefix + hidden, HIDDEN))
        elif member.name.endswith("/"):
            self.folders.append(name if name.endswith("/") else f"{name}/")
        elif reason := member.reason or why_not(name, suffixes, partial(head, *member.place)):
            self.skipped.append(Skipped(name, reason))
        else:
            if name in found:
                self.skipped.append(Skipped(name, DOUBLE))
            found[name] = member.place


def _cleaned(name: str) -> str:
    """The name of a member without what stands for the root or the current folder.

    >>> _cleaned("./a//b/./c.png"), _cleaned("/a/c.png"), _cleaned("a/")
    ('a/b/c.png', 'a/c.png', 'a/')
    """
    if "//" not in name and "./" not in name and not name.startswith("/"):
        return name
    parts = [part for part in name.split("/") if part not in ("", ".")]
    return "/".join(parts) + ("/" if name.endswith("/") and parts else "")


def _index(store: Store, location: str) -> Index:
    """What is in an archive, by its first bytes rather than its suffix."""
    from clsbench.images.sources import tar_members, zip_members

    if store.read(0, 4).startswith((b"PK\x03\x04", b"PK\x05\x06", b"PK\x07\x08")):
        return zip_members.members(store, location), zip_members.ZipEntry, zip_members.head
    return tar_members.members(store, location), tar_members.TarEntry, tar_members.head


def is_archive(location: str) -> bool:
    """Whether a location is an archive: by its suffix, or as a file by its content.

    A spreadsheet or a model is none, though it is a ZIP file, and an image is none, whatever its suffix.
    """
    from clsbench.images.formats import other_kind
    from clsbench.images.sources.content import begins_like_an_image, file_head

    name = path_of(location).lower()
    suffix = name.endswith(ARCHIVES)
    if is_url(location):
        return suffix
    if os.path.isdir(location):
        return False
    try:
        head = file_head(location) or b""
    except OSError:
        return suffix
    if suffix:
        return not begins_like_an_image(head)
    kind, by_name = other_kind("", head), other_kind(os.path.splitext(name)[1])
    return by_name is None and kind in ("a ZIP archive or a spreadsheet", "a tar archive")
