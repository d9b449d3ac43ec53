"""Images by whatever names them: a folder, file, list, archive or URL, several of these, or what a plugin opens."""

from __future__ import annotations

import os
from collections.abc import Collection, Iterable, Sequence
from typing import TYPE_CHECKING

from clsbench.api.components import Chosen, choose, registry
from clsbench.api.observer import Observer
from clsbench.errors import DataError

if TYPE_CHECKING:
    from clsbench.images.sources.source import Source

#: A path, a pattern of paths or a URL; or several paths and patterns.
Images = str | os.PathLike[str] | Iterable[str | os.PathLike[str]]


def source_names(images: Images) -> list[str]:
    """The name of the source component that opens some images; none for several paths or a pattern.

    What is built in needs no plugin, so none is loaded for it.
    """
    from clsbench.images.sources.given import is_pattern
    from clsbench.images.sources.opening import kind_of
    from clsbench.images.sources.urls import is_url

    if not isinstance(images, str | os.PathLike) or is_pattern(os.fspath(images)):
        return []
    location = os.fspath(images)
    kind = kind_of(location)
    if is_url(location):
        marks = [mark for found in registry().builtin("source") for mark in found.component.opens]
        known = any(mark.endswith("://") and location.lower().startswith(mark) for mark in marks)
        return [kind] if known else [_of_plugin(location) or kind]
    if kind != "folder" or _is_image_path(location):
        return [kind]
    return [_of_plugin(location) or kind]


def _of_plugin(location: str) -> str | None:
    """The source of a plugin that opens a location."""
    for found in registry().components("source"):
        if found.owner and any(_matches(location.lower(), mark.lower()) for mark in found.component.opens):
            return found.qualified
    return None


def _is_image_path(location: str) -> bool:
    from clsbench.images.formats import SUFFIXES

    return os.path.isdir(location) or os.path.splitext(location)[1].lower() in SUFFIXES


def open_source(
    images: Images,
    chosen: Sequence[Chosen],
    suffixes: Collection[str],
    observer: Observer,
    *,
    include: Sequence[str] = (),
    exclude: Sequence[str] = (),
) -> Source:
    """The images of a task; what was skipped is noted.

    Args:
        images: Where they are.
        chosen: The component named by :func:`source_names`, if any.
        suffixes: Suffixes that mark a file as an image, in addition to the usual ones.
        observer: Hears what was skipped.
        include, exclude: Patterns of names; see :class:`clsbench.images.sources.filtered.FilteredSource`.

    Raises:
        DataError: if there are none.
        PluginError: if a plugin's source cannot be used.
    """
    from clsbench.images.formats import SUFFIXES
    from clsbench.images.sources.filtered import FilteredSource
    from clsbench.images.sources.given import open_paths
    from clsbench.images.sources.source import check_source, skipped_notes
    from clsbench.images.sources.urls import without_file_scheme

    source: Source
    known = tuple(sorted({*SUFFIXES, *suffixes}))
    if chosen:
        location = without_file_scheme(os.fspath(images))  # type: ignore[arg-type]
        source = chosen[0].offered(suffixes=known).build(location)
        check_source(source)
    else:
        source = open_paths(_paths(images), suffixes=known)
    if include or exclude:
        source = FilteredSource(source, include, exclude)
    if not source.entries:
        raise DataError(
            "there are no images", where=source.location, got="; ".join(skipped_notes(source.skipped)) or None
        )
    tell(source, observer)
    return source


def tell(source: Source, observer: Observer) -> None:
    """What was skipped, as notes; where images may be missing for it, as warnings."""
    from clsbench.images.sources.source import damage_notes, skipped_notes

    for warning in damage_notes(source.skipped):
        observer.warn(warning)
    for note in (*getattr(source, "notes", ()), *skipped_notes(source.skipped)):
        observer.note(note)


def named_source(images: Images, observer: Observer) -> Source:
    """The images of a task that takes no options of sources: :func:`open_source` of what :func:`source_names` names."""
    return open_source(images, choose({"source": source_names(images)}, ())["source"], set(), observer)


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
