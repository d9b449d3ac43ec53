"""ImageLookup: the images of a predictions file, found by their names where infer read them."""

from __future__ import annotations

import os
from functools import lru_cache
from pathlib import Path

from clsbench.errors import DataError
from clsbench.images.entries import Entry
from clsbench.images.sources.archive import ARCHIVES
from clsbench.images.sources.compact import entry_names
from clsbench.images.sources.opening import as_location, kind_of, open_images
from clsbench.images.sources.paths import entry_below
from clsbench.images.sources.urls import redacted


class ImageLookup:
    """Finds images by their names, which may come from a stranger: none leads out of the root.

    Args:
        root: The folder that the names are relative to, or the archive or URL that infer was given.

    Raises:
        DataError: if it cannot be read.
    """

    def __init__(self, root: str | Path) -> None:
        location = as_location(root)
        self._folder = location if isinstance(location, Path) and location.is_dir() else None
        if self._folder is not None:
            self._opened = lru_cache(maxsize=None)(_Named)
            return
        if isinstance(location, Path) and (not location.is_file() or kind_of(location) != "archive"):
            raise DataError(
                "the images are not there", where=location, expected="a folder or an archive",
                hint="--images names the folder, archive or URL that infer was given",
            )  # fmt: skip
        self._all = _Named(location)

    def __call__(self, name: str) -> Entry:
        """The image of a name.

        Raises:
            DataError: if there is none, or the name leads out of the root.
        """
        if self._folder is None:
            return self._all.find(name, name)
        for end, letter in enumerate(name):
            # Of several shards a name begins with the path of its archive.
            if letter == "/" and name[:end].lower().endswith(ARCHIVES):
                archive = entry_below(self._folder, name[:end]).path
                if os.path.isfile(archive):
                    return self._opened(archive).find(name, name[end + 1 :])
        return entry_below(self._folder, name)


class _Named:
    """A source, and which of its entries has which name."""

    def __init__(self, location: str | Path) -> None:
        self._source = open_images(location)
        self._rows = {name: row for row, name in enumerate(entry_names(self._source.entries))}

    def find(self, asked: str, name: str) -> Entry:
        if name not in self._rows:
            raise DataError("there is no such image", where=redacted(self._source.location), got=asked)
        return self._source.entries[self._rows[name]]
