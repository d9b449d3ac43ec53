"""Images by whatever names them: a folder, a file, several of these, a pattern, or what a plugin opens."""

from __future__ import annotations

import os
from collections.abc import Collection, Iterable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from clsbench.api.components import Chosen, registry
from clsbench.api.observer import Observer
from clsbench.errors import DataError

if TYPE_CHECKING:
    from clsbench.images.sources.source import Source

#: A path, a pattern of paths or a URL; or several paths and patterns.
Images = str | os.PathLike[str] | Iterable[str | os.PathLike[str]]


def source_names(images: Images) -> list[str]:
    """The name of the source component that opens some images; none for several paths or a pattern.

    Folders and images need no plugin, so none is loaded for them.
    """
    from clsbench.images.formats import SUFFIXES
    from clsbench.images.sources.paths import is_pattern

    if not isinstance(images, str | os.PathLike) or ("://" not in os.fspath(images) and is_pattern(os.fspath(images))):
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

    Raises:
        DataError: if there are none.
        PluginError: if a plugin's source cannot be used.
    """
    from clsbench.images.formats import SUFFIXES
    from clsbench.images.sources.paths import open_paths
    from clsbench.images.sources.source import check_source, skipped_notes

    source: Source
    known = tuple(sorted({*SUFFIXES, *suffixes}))
    if chosen:
        source = chosen[0].offered(suffixes=known).build(os.fspath(images))  # type: ignore[arg-type]
        check_source(source)
    else:
        source = open_paths(_paths(images), suffixes=known)
    notes = skipped_notes(source.skipped)
    if not source.entries:
        raise DataError("there are no images", where=source.location, got="; ".join(notes) or None)
    for note in notes:
        observer.note(note)
    return source


def _paths(images: Images) -> list[str]:
    if isinstance(images, str | os.PathLike):
        return [os.fspath(images)]
    try:
        return [os.fsdecode(path) for path in images]
    except TypeError:
        raise DataError(
            "images are named by paths", got=type(images).__name__, expected="a path, a URL or several paths",
            hint="clsbench.load(…).predict(…) also takes bytes, Pillow images and arrays",
        ) from None  # fmt: skip


def _matches(location: str, mark: str) -> bool:
    return location.startswith(mark) if mark.endswith("://") else location.endswith(mark)
