"""PathsSource: images by their paths, from code or from a text file with a path a line."""

from __future__ import annotations

import os
from collections import Counter
from collections.abc import Iterable
from pathlib import Path

from clsbench.errors import DataError
from clsbench.images.entries import FileEntry
from clsbench.images.sources.source import Skipped


class PathsSource:
    """A list of files; they need not exist, since an image that cannot be read has a row too.

    Args:
        paths: In the order of the entries, whose names they are.
        base: Where relative paths start; the current folder if left out.
        location: Where the list comes from, for messages.

    Raises:
        DataError: if a path is there twice.

    >>> [entry.path for entry in PathsSource(["a.png", "/data/b.png"], base="photos").entries]
    ['photos/a.png', '/data/b.png']
    """

    def __init__(self, paths: Iterable[str], *, base: Path | str = "", location: Path | str = "") -> None:
        self.location = str(location)
        self.entries = [FileEntry(path, os.path.join(base, path)) for path in paths]
        repeated = [path for path, times in Counter(entry.name for entry in self.entries).items() if times > 1]
        if repeated:
            raise DataError("a path is listed twice", where=location, got=repeated[0])
        self.skipped: list[Skipped] = []


def open_list(location: Path | str) -> PathsSource:
    """A text file with a path a line, relative to its folder; empty lines are passed over.

    Raises:
        DataError: if it cannot be read, is not text, names a path twice, or names none.
    """
    try:
        data = Path(location).read_bytes()
    except OSError as error:
        raise DataError("the list of images cannot be read", where=location, got=error.strerror or error) from None
    if b"\0" in data:
        raise DataError("not a list of images", where=location, got="binary data", expected="text with a path a line")
    lines: dict[str, int] = {}
    for number, line in enumerate(os.fsdecode(data.removeprefix(b"\xef\xbb\xbf")).split("\n"), 1):
        path = line.removesuffix("\r")
        if path.strip() and lines.setdefault(path, number) != number:
            raise DataError(
                "a path is listed twice", where=f"{location}:{number}", got=f"{path}, also in line {lines[path]}"
            )
    if not lines:
        raise DataError("the list names no images", where=location, expected="a path a line")
    return PathsSource(lines, base=os.path.dirname(location), location=location)


def entry_below(root: Path, name: str) -> FileEntry:
    """The entry of a name below a folder, such as one out of a predictions file, which may come from a stranger.

    Raises:
        DataError: if the name leads out of the folder.
    """
    path = os.path.join(root, name)
    try:
        inside = Path(path).resolve().is_relative_to(root.resolve())
    except (OSError, ValueError) as error:  # a NUL in the name; a circle of links
        raise DataError("not a path", got=error) from None
    if not inside:
        raise DataError("the path leads out of the folder", where=root, got=name)
    return FileEntry(name, path)
