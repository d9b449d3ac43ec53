"""Images by whatever names them: a folder, a file, several files, or what a plugin opens."""

from __future__ import annotations

import os
from collections.abc import Collection, Iterable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from clsbench.api.components import Chosen, registry
from clsbench.api.observer import Observer
from clsbench.text import counted

if TYPE_CHECKING:
    from clsbench.images.sources.source import Source

#: A path or URL, or several paths.
Images = str | os.PathLike[str] | Iterable[str | os.PathLike[str]]


def source_names(images: Images) -> list[str]:
    """The name of the source component that opens some images; none for several paths.

    Folders and images need no plugin, so none is loaded for them.
    """
    from clsbench.images.formats import SUFFIXES

    if not isinstance(images, str | os.PathLike):
        return []
    location = os.fspath(images)
    if not Path(location).is_dir() and Path(location).suffix.lower() not in SUFFIXES:
        for components in (registry().builtin, registry().components):
            for found in components("source"):
                if any(_matches(location.lower(), mark.lower()) for mark in found.component.opens):
                    return [found.qualified]
    return ["folder"]


def open_source(images: Images, chosen: Sequence[Chosen], suffixes: Collection[str], observer: Observer) -> Source:
    """The images of a task; what was skipped is noted.

    Args:
        images: Where they are.
        chosen: The component named by :func:`source_names`, if any.
        suffixes: Suffixes that mark a file as an image, in addition to the usual ones.
        observer: Hears what was skipped.
    """
    from clsbench.images.formats import SUFFIXES
    from clsbench.images.sources.paths import PathsSource
    from clsbench.images.sources.source import skipped_notes

    source: Source
    if isinstance(images, str | os.PathLike):
        opener = chosen[0].offered(suffixes=tuple(sorted({*SUFFIXES, *suffixes})))
        source = opener.build(os.fspath(images))
    else:
        paths = [os.fspath(path) for path in images]
        source = PathsSource(paths, location=counted(len(paths), "path"))
    for note in skipped_notes(source.skipped):
        observer.note(note)
    return source


def _matches(location: str, mark: str) -> bool:
    return location.startswith(mark) if mark.endswith("://") else location.endswith(mark)
