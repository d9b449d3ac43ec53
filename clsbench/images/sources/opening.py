"""What a location is, and the built-in source that opens it: a folder, a file, a list, an archive or a URL."""

from __future__ import annotations

import os
from collections.abc import Callable, Collection
from pathlib import Path

from clsbench.images.formats import SUFFIXES
from clsbench.images.sources.archive import ARCHIVES, ArchiveSource, is_archive
from clsbench.images.sources.folder import FolderSource
from clsbench.images.sources.lists import LISTS, STDIN, open_list
from clsbench.images.sources.source import Source
from clsbench.images.sources.urls import is_url, path_of, without_file_scheme


def as_location(location: str | os.PathLike[str]) -> Path | str:
    """A location as it is handed on: a URL as text, since a Path would fold its slashes, a file's URL as its path."""
    text = without_file_scheme(os.fspath(location))
    return text if is_url(text) else Path(text)


def kind_of(location: str | os.PathLike[str]) -> str:
    """The built-in source that opens a location: ``folder``, ``list``, ``archive`` or ``remote``.

    >>> kind_of("photos/"), kind_of("-"), kind_of("s3://bucket/photos"), kind_of("https://host/list.txt")
    ('folder', 'list', 'remote', 'list')
    """
    text = without_file_scheme(os.fspath(location))
    if text == STDIN:
        return "list"
    if is_archive(text):
        return "archive"
    suffix = os.path.splitext(path_of(text))[1].lower()
    if is_url(text):
        return "list" if suffix in LISTS else "remote"
    if suffix in LISTS and not os.path.isdir(text) and not _is_image(text):
        return "list"
    return "folder"


def holds_many(location: str | os.PathLike[str]) -> bool:
    """Whether a location is a folder or an archive; asked before every single image, so by the suffix first."""
    text = os.fspath(location)
    return os.path.isdir(text) or (path_of(text).lower().endswith(ARCHIVES) and is_archive(text))


def _is_image(path: str) -> bool:
    from clsbench.images.sources.content import begins_like_an_image, file_head

    try:
        return begins_like_an_image(file_head(path) or b"")
    except OSError:
        return False


def open_images(location: str | os.PathLike[str], prefix: str = "", *, suffixes: Collection[str] = SUFFIXES) -> Source:
    """The images at a location.

    Args:
        location: A folder, an image, a list, an archive, or the URL of one of these.
        prefix: Stands before every name; not for a list.
        suffixes: Suffixes of images, in lower case with their dot.

    Raises:
        DataError: if it cannot be read, or holds no images.
    """
    text = without_file_scheme(os.fspath(location))
    kind = kind_of(text)
    if kind == "list":
        return open_list(text)
    return _OPENERS[kind](text, prefix, suffixes=suffixes)


def _remote(location: str, prefix: str = "", *, suffixes: Collection[str] = SUFFIXES) -> Source:
    from clsbench.images.sources.remote import RemoteSource

    return RemoteSource(location, prefix, suffixes=suffixes)


_OPENERS: dict[str, Callable[..., Source]] = {"folder": FolderSource, "archive": ArchiveSource, "remote": _remote}
