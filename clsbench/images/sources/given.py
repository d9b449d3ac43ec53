"""What a user names, several locations and patterns at once: folders, images, archives and URLs become one source."""

from __future__ import annotations

import glob
import os
import re
from collections import Counter
from collections.abc import Collection, Iterable
from pathlib import Path

from clsbench.errors import DataError
from clsbench.images.entries import Entry
from clsbench.images.formats import SUFFIXES, other_kind
from clsbench.images.sources.compact import entry_names
from clsbench.images.sources.opening import kind_of, open_images
from clsbench.images.sources.paths import PathsSource
from clsbench.images.sources.source import NOT_AN_IMAGE, ListedSource, Skipped, Source
from clsbench.images.sources.urls import WEB, is_url, redacted, scheme_of, without_file_scheme

#: A range of numbers, such as that of the shards ``shard-{000..010}.tar``.
_RANGE = re.compile(r"\{(\d+)\.\.(\d+)\}")

#: More locations than this are no range that a user meant.
_MOST = 1_000_000


def open_paths(locations: Iterable[str], *, suffixes: Collection[str] = SUFFIXES) -> Source:
    """Several images, folders, archives, URLs and patterns, such as ``photos/*.jpg``, together.

    An image is named by its path as it was given, with forward slashes and without ``./``: two files of one name in
    two folders stay apart, and every name is a path from the current folder. One below a folder or in an archive that
    was given has the path of that before its own; one that a pattern matches has the path that matches. What several
    patterns or folders name is there once. A file that does not exist is an entry that cannot be read.

    Args:
        locations: Paths and patterns. A pattern is one only where there is no file of that very name.
        suffixes: Suffixes of images, in lower case with their dot.

    Raises:
        DataError: if a location is given twice, a folder cannot be read or holds no image, or a pattern matches
            nothing.
    """
    found: dict[str, Entry | None] = {}  # None for a file of that path
    skipped: dict[str, Skipped] = {}
    given, wanted = [without_file_scheme(location) for location in locations], frozenset(suffixes)
    if repeated := [location for location, times in Counter(given).items() if times > 1]:
        raise DataError("a path is listed twice", got=redacted(repeated[0]))
    for location in given:
        for one in _matches(location):
            if is_url(one) or os.path.isdir(one) or kind_of(one) == "archive":
                source = open_images(one, _prefix(one), suffixes=wanted)
                as_paths = os.path.isdir(one)
                for name, entry in zip(entry_names(source.entries), source.entries, strict=True):
                    found.setdefault(name, None if as_paths else entry)
                skipped |= {other.name: other for other in source.skipped}
            elif _is_other(one, wanted):
                name = Path(one).as_posix()
                skipped[name] = Skipped(name, NOT_AN_IMAGE)
            else:
                found[Path(one).as_posix()] = None
    place = "/" if found and all(map(os.path.isabs, found)) else "."
    if not any(found.values()):
        return PathsSource(found, location=place, skipped=list(skipped.values()))
    entries = (
        PathsSource([name for name, entry in found.items() if entry is None]).entries if None in found.values() else ()
    )
    files = iter(entries)
    return ListedSource(place, [entry or next(files) for entry in found.values()], list(skipped.values()))


def _prefix(location: str) -> str:
    """What stands before the names of images below a location: its path; of one image in a network its folder's."""
    if is_url(location):
        shown = redacted(location)
        if kind_of(location) == "remote" and os.path.splitext(shown)[1].lower() in SUFFIXES:
            return shown[: shown.rstrip("/").rfind("/") + 1]
        return f"{shown.rstrip('/')}/"
    name = Path(location).as_posix()
    return "" if name == "." else f"{name}/".replace("//", "/")


def is_pattern(location: str) -> bool:
    """Whether a location is a pattern of paths rather than one path."""
    if is_url(location):
        return _RANGE.search(location) is not None or _is_remote_glob(location)
    return (glob.has_magic(location) or _RANGE.search(location) is not None) and not os.path.lexists(location)


def _is_remote_glob(url: str) -> bool:
    """Whether a URL is a pattern that its file system can list; on the web a ``*`` is only a character."""
    return "*" in url and scheme_of(url) not in WEB


def _matches(location: str) -> list[str]:
    """The paths that a location stands for."""
    if not is_pattern(location):
        return [location]
    matches = []
    for one in _ranges(location):
        if is_url(one) and _is_remote_glob(one):
            from clsbench.images.sources.remote import matching

            matches += matching(one)
            continue
        if is_url(one) or not glob.has_magic(one):
            matches.append(one)
            continue
        some = sorted(glob.glob(one, recursive=True))
        matches += [match for match in some if "**" not in one or not os.path.isdir(match)]
    if not matches:
        bracket = "; a [ that is part of a name is written [[]" if "[" in location else ""
        raise DataError("no file matches the pattern", where=location, hint=f"check the path, and its quotes{bracket}")
    return matches


def _ranges(location: str) -> list[str]:
    """The locations of a range of numbers, with as many digits as its first.

    >>> _ranges("shard-{08..10}.tar")
    ['shard-08.tar', 'shard-09.tar', 'shard-10.tar']
    """
    match = _RANGE.search(location)
    if match is None:
        return [location]
    first, last = int(match[1]), int(match[2])
    if not first <= last < first + _MOST:
        raise DataError("a range of numbers goes from small to large", where=location, got=match[0])
    before, after = location[: match.start()], _ranges(location[match.end() :])
    return [f"{before}{k:0{len(match[1])}d}{rest}" for k in range(first, last + 1) for rest in after]


def _is_other(location: str, suffixes: Collection[str]) -> bool:
    """Whether a file among several is certainly no image, by its content or else its suffix."""
    from clsbench.images.sources.content import file_head

    suffix = os.path.splitext(location)[1].lower()
    if suffix in suffixes or not os.path.isfile(location):
        return False
    try:
        return other_kind(suffix, file_head(location) or b"") is not None
    except OSError:
        return False
