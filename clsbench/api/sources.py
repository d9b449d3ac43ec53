"""Images by whatever names them: a folder, a file, several files, or what a plugin opens."""

from __future__ import annotations

import os
from collections.abc import Iterable
from pathlib import Path

from clsbench.api.components import registry

#: A path or URL, or several paths.
Images = str | os.PathLike[str] | Iterable[str | os.PathLike[str]]


def source_for(images: Images) -> str:
    """The name of the source component that opens some images.

    Folders and images need no plugin, so none is loaded for them.
    """
    from clsbench.images.formats import SUFFIXES

    if not isinstance(images, str | os.PathLike):
        return "list"
    location = os.fspath(images)
    if Path(location).is_dir() or Path(location).suffix.lower() in SUFFIXES:
        return "folder"
    for found in registry().components("source"):
        if any(_matches(location.lower(), mark.lower()) for mark in found.component.opens):
            return found.qualified
    return "folder"


def _matches(location: str, mark: str) -> bool:
    return location.startswith(mark) if mark.endswith("://") else location.endswith(mark)
