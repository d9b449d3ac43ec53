"""PathsSource: images by their paths and URLs, from code, a list or a command line."""

from __future__ import annotations

import os
from collections.abc import Iterable, Sequence
from functools import partial
from pathlib import Path

from clsbench.errors import DataError
from clsbench.images.entries import Entry, FileEntry
from clsbench.images.sources.compact import CompactEntries, CompactNames
from clsbench.images.sources.source import Skipped
from clsbench.images.sources.urls import below_url, is_url, local_path, redacted


class PathsSource:
    """A list of files and URLs; they need not exist, since an image that cannot be read has a row too.

    Args:
        paths: In the order of the entries, whose names they are; of a URL without what is secret in it.
        base: Where relative paths start, a folder or the URL of one; the current folder if left out.
        location: Where the list comes from, for messages.
        skipped: What was left out of it.
        notes: For the user.

    Raises:
        DataError: if a path is there twice, or cannot be a path.

    >>> [entry.path for entry in PathsSource(["a.png", "/data/b.png"], base="photos").entries]
    ['photos/a.png', '/data/b.png']
    """

    def __init__(
        self,
        paths: Iterable[str],
        *,
        base: Path | str = "",
        location: Path | str = "",
        skipped: Sequence[Skipped] = (),
        notes: Sequence[str] = (),
    ) -> None:
        self.location = redacted(str(location))
        self._base, self._secret = str(base), False
        make = partial(listed_entry, str(base))
        try:
            names = CompactNames.of(map(self._seen, paths))
            # A signed URL is longer than its name, so that a name does not suffice to build its entry.
            signed = list(map(make, names)) if self._secret else []
            shown = CompactNames.of(entry.name for entry in signed) if signed else names
        except UnicodeEncodeError as error:
            raise DataError("not a path", where=location, got=ascii(error.object), expected="text") from None
        if repeated := shown.repeated():
            raise DataError("a path is listed twice", where=location, got=shown[repeated[0]])
        self.entries: Sequence[Entry] = signed or CompactEntries(names, make)
        self.skipped, self.notes = list(skipped), tuple(notes)  # by now the list has been read

    def _seen(self, path: str) -> str:
        if is_url(self._base):
            below_url(self._base, path)  # refuses what is not for a stranger to name, before the work
        self._secret = self._secret or ("://" in path and redacted(path) != path)
        return path


def listed_entry(base: str, path: str) -> Entry:
    """The entry of a path or URL in a list.

    Args:
        base: Where relative paths start; that of a list in a network is a URL, and it leads to no file here.
        path: As it is listed.
    """
    if is_url(base):
        from clsbench.images.sources.remote import RemoteEntry

        return RemoteEntry(redacted(path), below_url(base, path))
    if not is_url(path):
        return FileEntry(path, os.path.join(base, path))
    if (local := local_path(path)) is not None:
        return FileEntry(path, local)
    from clsbench.images.sources.remote import RemoteEntry

    return RemoteEntry(redacted(path), path)


def entry_below(root: Path, name: str) -> FileEntry:
    """The entry of a name below a folder, such as one out of a predictions file, which may come from a stranger.

    Raises:
        DataError: if the name leads out of the folder.
    """
    path = os.path.join(root, name)
    try:
        inside = Path(path).resolve().is_relative_to(root.resolve())
    except (OSError, ValueError, RuntimeError) as error:  # a NUL in the name; a circle of links
        raise DataError("not a path", got=error) from None
    if not inside:
        raise DataError("the path leads out of the folder", where=root, got=name)
    return FileEntry(name, path)
