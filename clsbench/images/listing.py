"""Listing the images below a folder, in a stable order."""

from __future__ import annotations

import os
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

from clsbench.errors import DataError
from clsbench.images.formats import SUFFIXES


@dataclass(frozen=True)
class Listing:
    """The images below a folder.

    Args:
        root: The folder.
        names: Paths relative to ``root`` with forward slashes, sorted.
        skipped: Suffix -> number of files that are no images by their suffix.
    """

    root: Path
    names: list[str]
    skipped: Counter[str] = field(default_factory=Counter)


def list_images(path: Path, *, suffixes: frozenset[str] = SUFFIXES) -> Listing:
    """Every image below ``path``, or ``path`` itself if it is a file.

    Hidden files and folders are passed over, links are followed once.

    Raises:
        DataError: if there is no such path, it cannot be read, or it holds no image.
    """
    if path.is_file():
        return Listing(path.parent, [path.name])
    if not path.exists():
        raise DataError("there is no such file or folder", where=path)
    skipped: Counter[str] = Counter()
    names = []
    for name in sorted(_walk(path, "", set())):
        suffix = os.path.splitext(name)[1].lower()
        if suffix in suffixes:
            names.append(name)
        else:
            skipped[suffix or "no suffix"] += 1
    if not names:
        others = ", ".join(f"{n} {suffix}" for suffix, n in skipped.most_common(5))
        raise DataError(
            "there are no images in the folder",
            where=path,
            got=f"only other files ({others})" if others else "no files",
            expected=f"files that end in .jpg .png .webp .gif … ({len(suffixes)} suffixes)",
        )
    return Listing(path, names, skipped)


def _walk(folder: Path | str, prefix: str, seen: set[tuple[int, int]]) -> Iterator[str]:
    try:
        status = os.stat(folder)
        if (status.st_dev, status.st_ino) in seen:
            return
        seen.add((status.st_dev, status.st_ino))
        entries = sorted(os.scandir(folder), key=lambda entry: entry.name)
    except OSError as error:
        raise DataError("a folder cannot be read", where=folder, got=error.strerror) from None
    for entry in entries:
        if entry.name.startswith((".", "__MACOSX")):
            continue
        if entry.is_dir():
            yield from _walk(entry.path, f"{prefix}{entry.name}/", seen)
        else:
            yield prefix + entry.name
