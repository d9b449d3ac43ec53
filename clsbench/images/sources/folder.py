"""FolderSource: the images below a folder, or a single file."""

from __future__ import annotations

import os
from collections.abc import Collection, Iterator
from functools import partial
from pathlib import Path

from clsbench.errors import DataError
from clsbench.images.entries import FileEntry
from clsbench.images.formats import SUFFIXES, other_kind
from clsbench.images.sources.compact import CompactEntries, CompactNames
from clsbench.images.sources.content import file_head, why_not
from clsbench.images.sources.source import NOT_AN_IMAGE, Skipped, count_suffixes
from clsbench.images.sources.walk import walk


class FolderSource:
    """Every image below a folder, sorted by name, whatever its suffix; or one file, which is certainly nothing else.

    Hidden files and folders, and those of the system, are passed over; links are followed, but not in circles.

    Args:
        location: The folder or file.
        prefix: Stands before every name, for example ``train/``.
        suffixes: Suffixes of images, in lower case with their dot; any other file is an image if it begins like one.

    Raises:
        DataError: if there is no such path, it cannot be read, or it holds or is no image.
    """

    def __init__(self, location: Path | str, prefix: str = "", *, suffixes: Collection[str] = SUFFIXES) -> None:
        self.location = str(location)
        self.skipped: list[Skipped] = []
        self.folders: list[str] = []
        if not os.path.lexists(location):
            raise DataError("there is no such file or folder", where=location)
        if not os.path.isdir(location):
            check_image(self.location, suffixes)
            names, path = CompactNames.of([prefix + os.path.basename(location)]), self.location
            self.entries = CompactEntries(names, partial(_named, path))
            return
        self.entries = CompactEntries(
            CompactNames.of(self._names(prefix, frozenset(suffixes))), partial(_below, self.location, len(prefix))
        )
        if not self.entries:
            raise no_images(self.location, self.skipped, suffixes)

    def _names(self, prefix: str, suffixes: frozenset[str]) -> Iterator[str]:
        for found in walk(self.location):
            name = prefix + found.name
            if found.reason is not None:
                self.skipped.append(Skipped(name, found.reason, found.damage))
            elif found.entry is None:
                self.folders.append(name)
            elif reason := why_not(found.entry.name, suffixes, partial(_entry_head, found.entry)):
                self.skipped.append(Skipped(name, reason))
            else:
                yield name


def _named(path: str, name: str) -> FileEntry:
    return FileEntry(name, path)


def _below(folder: str, cut: int, name: str) -> FileEntry:
    return FileEntry(name, f"{folder}/{name[cut:]}")


def _entry_head(entry: os.DirEntry[str]) -> bytes | None:
    """The first bytes of a file; only a regular one is opened, since opening a device may do something."""
    return file_head(entry.path) if entry.is_file() else None


def no_images(location: str, skipped: Collection[Skipped], suffixes: Collection[str]) -> DataError:
    """The error for a folder or an archive without images."""
    others = count_suffixes([one.name for one in skipped if one.reason == NOT_AN_IMAGE])
    damage = next((f"{one.name}: {one.reason}" for one in skipped if one.damage), None)
    return DataError(
        "there are no images in it" if damage else "there are no images in the folder",
        where=location,
        got=damage or (f"only other files ({others})" if others else "no files"),
        expected=f"files that end in .jpg .png .webp .gif … ({len(suffixes)} suffixes), or begin like an image",
    )


def check_image(file: str, suffixes: Collection[str]) -> None:
    """Refuse a file that is certainly no image, by its content or its suffix.

    Raises:
        DataError: saying what it is, and what can be read instead.
    """
    suffix = os.path.splitext(file)[1].lower()
    if suffix in suffixes:
        return
    try:
        head = file_head(file) if os.path.isfile(file) else None
    except OSError:  # a row of the result will say so
        head = None
    if kind := other_kind(suffix, head or b""):
        raise DataError(
            f"this is {kind}, not an image",
            where=file,
            expected="an image, a folder of images, a .tar or .zip of them, or a list of paths",
            hint=_instead(kind),
        )


def _instead(kind: str) -> str | None:
    """What to do with a file of another kind."""
    if "archive" in kind:
        return "archives of this kind cannot be read: unpack it, and name the folder"
    if "table" in kind:
        return "a list of paths is a .txt, .csv, .jsonl or .parquet file"
    return "name a model file with --model" if kind == "a model file" else None
