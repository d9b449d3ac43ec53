"""PathsSource: images by their paths, from code, a command line or a text file with a path a line."""

from __future__ import annotations

import glob
import os
from collections import Counter
from collections.abc import Collection, Iterable, Sequence
from pathlib import Path

from clsbench.errors import DataError
from clsbench.images.entries import FileEntry
from clsbench.images.formats import SUFFIXES, other_kind
from clsbench.images.sources.folder import FolderSource
from clsbench.images.sources.source import OTHER_SUFFIX, Skipped


class PathsSource:
    """A list of files; they need not exist, since an image that cannot be read has a row too.

    Args:
        paths: In the order of the entries, whose names they are.
        base: Where relative paths start; the current folder if left out.
        location: Where the list comes from, for messages.
        skipped: What was left out of it.

    Raises:
        DataError: if a path is there twice.

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
    ) -> None:
        self.location = str(location)
        self.entries = [FileEntry(path, os.path.join(base, path)) for path in paths]
        repeated = [path for path, times in Counter(entry.name for entry in self.entries).items() if times > 1]
        if repeated:
            raise DataError("a path is listed twice", where=location, got=repeated[0])
        self.skipped = list(skipped)


def open_paths(locations: Iterable[str], *, suffixes: Collection[str] = SUFFIXES) -> PathsSource:
    """Several images, folders of images and patterns, such as ``photos/*.jpg``, together.

    An image is named by its path as it was given, with forward slashes and without ``./``: two files of one name in
    two folders stay apart, and every name is a path from the current folder. One below a folder that was given has
    the folder's path before its own; one that a pattern matches has the path that matches. What several patterns
    or folders name is there once. A file that does not exist is an entry that cannot be read.

    Args:
        locations: Paths and patterns. A pattern is one only where there is no file of that very name.
        suffixes: Suffixes of images, in lower case with their dot.

    Raises:
        DataError: if a location is given twice, a folder cannot be read or holds no image, or a pattern matches
            nothing.
    """
    paths: dict[str, None] = {}
    skipped: dict[str, Skipped] = {}
    given, wanted = list(locations), frozenset(suffixes)
    if repeated := [location for location, times in Counter(given).items() if times > 1]:
        raise DataError("a path is listed twice", got=repeated[0])
    for location in given:
        found, others = _expanded(location, wanted)
        paths |= dict.fromkeys(found)
        skipped |= {one.name: one for one in others}
    place = "/" if paths and all(map(os.path.isabs, paths)) else "."
    return PathsSource(paths, location=place, skipped=list(skipped.values()))


def is_pattern(location: str) -> bool:
    """Whether a location is a pattern of paths rather than one path."""
    return glob.has_magic(location) and not os.path.lexists(location)


def _expanded(location: str, suffixes: frozenset[str]) -> tuple[list[str], list[Skipped]]:
    """The images of one location, by path, and what is no image in it."""
    if is_pattern(location):
        matches = sorted(glob.glob(location, recursive=True))
        if not matches:
            bracket = "; a [ that is part of a name is written [[]" if "[" in location else ""
            raise DataError(
                "no file matches the pattern", where=location, hint=f"check the path, and its quotes{bracket}"
            )
        parts = [_expanded(match, suffixes) for match in matches if "**" not in location or not os.path.isdir(match)]
        return [path for found, _ in parts for path in found], [one for _, others in parts for one in others]
    name = Path(location).as_posix()
    if os.path.isdir(location):
        source = FolderSource(location, "" if name == "." else f"{name}/".replace("//", "/"), suffixes=suffixes)
        return [entry.name for entry in source.entries], source.skipped
    suffix = os.path.splitext(name)[1].lower()
    if suffix not in suffixes and os.path.isfile(location) and other_kind(suffix):
        return [], [Skipped(name, OTHER_SUFFIX)]
    return [name], []


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
