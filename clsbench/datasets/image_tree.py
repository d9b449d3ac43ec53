"""ImageTree: the folders of a source, derived from the names of its images, and what is known of empty ones."""

from __future__ import annotations

from collections import defaultdict
from pathlib import Path

from clsbench.datasets.splits import SPLIT_WORDS
from clsbench.errors import DataError
from clsbench.images.entries import Entry
from clsbench.images.sources.compact import entry_names
from clsbench.images.sources.opening import as_location, kind_of, open_images
from clsbench.images.sources.source import Skipped, Source
from clsbench.images.sources.urls import redacted

_SPLITS = {word for words in SPLIT_WORDS.values() for word in words}


class ImageTree:
    """The images of a source by their folders, which are written ``""`` or ``a/b/``.

    Args:
        source: A folder, an archive or the URL of one.
        in_archive: Whether all of it may lie in one folder that is no class and no split.

    Attributes:
        location: Of the source.
        top: The folder that everything lies in.
    """

    def __init__(self, source: Source, *, in_archive: bool = False) -> None:
        self.source, self.location = source, source.location
        self._names = entry_names(source.entries)
        self._folders: dict[str, set[str]] = defaultdict(set)
        self._loose = {name.rpartition("/")[0] for name in self._names}
        for folder in {*self._loose, *(one.rstrip("/") for one in getattr(source, "folders", ()))}:
            parts = folder.split("/") if folder else []
            for depth, part in enumerate(parts):
                self._folders["".join(f"{above}/" for above in parts[:depth])].add(part)
        self.top = self._top() if in_archive else ""

    def _top(self) -> str:
        top = ""
        while top.rstrip("/") not in self._loose and len(names := self.folders(top)) == 1:
            below = f"{top}{names[0]}/"
            if names[0].lower() in _SPLITS or not self.folders(below):
                break
            top = below
        return top

    def folders(self, folder: str) -> list[str]:
        """Names of the folders in a folder, sorted."""
        return sorted(self._folders.get(folder, ()))

    def images(self, folder: str) -> list[tuple[Entry, str]]:
        """The images below a folder, each with its path from there."""
        named = zip(self._names, self.source.entries, strict=True)
        return [(entry, name[len(folder) :]) for name, entry in named if name.startswith(folder)]

    def skipped(self, folder: str) -> list[Skipped]:
        """What was left out below a folder, and of an archive as a whole."""
        return [one for one in self.source.skipped if one.name.startswith(folder) or one.name == self.location]

    def where(self, folder: str) -> str:
        """A folder, for messages."""
        return f"{self.location}/{folder}".rstrip("/") if folder else self.location


def open_tree(root: Path | str | None, dataset: str) -> ImageTree:
    """The images a dataset of folders was given.

    Args:
        root: The folder, archive or URL.
        dataset: The component, for messages.

    Raises:
        DataError: if none was given, it does not exist, or it holds no images.
    """
    if root is None:
        raise DataError(f"the {dataset} dataset needs a folder", hint=f"clsbench train FOLDER --dataset {dataset}")
    location = as_location(root)
    if isinstance(location, Path) and not location.exists():
        raise DataError("no such folder", where=root)
    kind = kind_of(location)
    if kind == "list" or (kind == "folder" and isinstance(location, Path) and not location.is_dir()):
        got = "a list of images" if isinstance(location, str) else None
        raise DataError("this is a file, not a folder of images", where=redacted(str(root)), got=got)
    return ImageTree(open_images(location), in_archive=kind == "archive")
