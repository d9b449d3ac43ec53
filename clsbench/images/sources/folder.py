"""FolderSource: the images below a folder, or a single file."""

from __future__ import annotations

import os
from collections.abc import Collection, Iterator
from pathlib import Path

from clsbench.errors import DataError
from clsbench.file_kinds import HEAD
from clsbench.images.entries import FileEntry
from clsbench.images.formats import SUFFIXES, other_kind
from clsbench.images.sources.source import OTHER_SUFFIX, Skipped, count_suffixes

#: Folders and files that a system or a program makes beside people's images, in lower case.
_SYSTEM = frozenset(
    (
        *("__macosx", "@eadir", "$recycle.bin", "system volume information", "lost+found"),
        *("thumbs.db", "ehthumbs.db", "desktop.ini", "icon\r"),
    )
)

HIDDEN = "a hidden folder, or one of the system"


def is_hidden(name: str) -> bool:
    """Whether a file or folder of that name is none of the user's images or classes.

    >>> is_hidden(".DS_Store"), is_hidden("Thumbs.db"), is_hidden("__MACOSX"), is_hidden("cats")
    (True, True, True, False)
    """
    return name.startswith(".") or name.lower() in _SYSTEM


class FolderSource:
    """Every image below a folder, sorted by name; a file is an image unless it is certainly something else.

    Hidden files and folders, and those of the system, are passed over; links are followed once.

    Args:
        location: The folder or file.
        prefix: Stands before every name, for example ``train/``.
        suffixes: Suffixes of images, in lower case with their dot.

    Raises:
        DataError: if there is no such path, it cannot be read, or it holds or is no image.
    """

    def __init__(self, location: Path | str, prefix: str = "", *, suffixes: Collection[str] = SUFFIXES) -> None:
        self.location = str(location)
        self.entries: list[FileEntry] = []
        self.skipped: list[Skipped] = []
        if os.path.isfile(location):
            check_image(self.location, suffixes)
            self.entries.append(FileEntry(prefix + os.path.basename(location), self.location))
            return
        if not os.path.exists(location):
            raise DataError("there is no such file or folder", where=location)
        wanted = frozenset(suffixes)
        for name in sorted(_walk(location, "", set())):
            if name.endswith("/"):
                self.skipped.append(Skipped(prefix + name, HIDDEN))
            elif os.path.splitext(name)[1].lower() in wanted:
                self.entries.append(FileEntry(prefix + name, f"{self.location}/{name}"))
            else:
                self.skipped.append(Skipped(prefix + name, OTHER_SUFFIX))
        if not self.entries:
            others = count_suffixes([one.name for one in self.skipped if one.reason == OTHER_SUFFIX])
            raise DataError(
                "there are no images in the folder",
                where=location,
                got=f"only other files ({others})" if others else "no files",
                expected=f"files that end in .jpg .png .webp .gif … ({len(wanted)} suffixes)",
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
        with open(file, "rb") as opened:
            head = opened.read(HEAD)
    except OSError:  # a row of the result will say so
        head = b""
    if kind := other_kind(suffix, head):
        raise DataError(
            f"this is {kind}, not an image",
            where=file,
            expected="an image, a folder of images, several of these, or a .txt file with a path a line",
            hint=_instead(kind, file),
        )


def _instead(kind: str, file: str) -> str | None:
    """What to do with a file of another kind."""
    if "archive" in kind:
        return "archives cannot be read yet: unpack it, and name the folder"
    if "table" in kind:
        return f"for a table of paths and labels add --dataset csv; for labels of a folder: FOLDER --labels {file}"
    return "name a model file with --model" if kind == "a model file" else None


def _walk(folder: Path | str, prefix: str, seen: set[tuple[int, int]]) -> Iterator[str]:
    """Files below a folder, and with a slash at the end the folders that are passed over."""
    try:
        status = os.stat(folder)
        if (status.st_dev, status.st_ino) in seen:
            return
        seen.add((status.st_dev, status.st_ino))
        entries = sorted(os.scandir(folder), key=lambda entry: entry.name)
    except OSError as error:
        raise DataError("a folder cannot be read", where=folder, got=error.strerror) from None
    for entry in entries:
        if is_hidden(entry.name):
            if entry.is_dir():
                yield f"{prefix}{entry.name}/"
        elif entry.is_dir():
            yield from _walk(entry.path, f"{prefix}{entry.name}/", seen)
        else:
            yield prefix + entry.name
