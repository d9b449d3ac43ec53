"""What every source has: entries, and what it skipped."""

from __future__ import annotations

import os
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any, Protocol

from clsbench.guard import Guarded
from clsbench.images.entries import Entry
from clsbench.text import on_one_line

#: Why a file of another type is skipped.
NOT_AN_IMAGE = "not an image by its first bytes"

#: Why a file that is not there to be looked into, such as a device, is skipped.
NOT_REGULAR = "not a regular file, and not an image by its suffix"

#: What an option left out.
EXCLUDED = "excluded"

#: Threads that read images in a network: each of them waits most of the time.
REMOTE_THREADS = 16

#: Images that are asked whether they are in a network.
_SAMPLED = 64

#: Names that a summary of what was skipped holds for each reason.
_EXAMPLES = 3

#: Suffixes of photos of phones and cameras, which need a decoder of a plugin: with one, they are not skipped.
UNREAD_PHOTOS = (".dng", ".cr2", ".cr3", ".nef", ".arw", ".jxl")


@dataclass(frozen=True, slots=True)
class Skipped:
    """Something in a source that is not an entry, and why.

    Args:
        name: Its own, or that of the folder or archive whose rest is missing.
        reason: Why.
        damage: Images may be missing for it: a user has to know.
    """

    name: str
    reason: str
    damage: bool = False


class Source(Protocol):
    """Images from one place; see ``register_sources``.

    Optional: ``folders``, the names of all folders that are known, empty ones too, with a slash at the end; ``notes``,
    texts for the user. An entry whose attribute ``remote`` is True waits for a network when it is read.
    """

    @property
    def location(self) -> str:
        """What it was opened with, for messages."""

    @property
    def entries(self) -> Sequence[Entry]:
        """The images, in the same order each time."""

    @property
    def skipped(self) -> Sequence[Skipped]:
        """What was left out."""


@dataclass(frozen=True)
class ListedSource:
    """Entries that were listed elsewhere, such as those of a dataset; see :class:`Source`."""

    location: str
    entries: Sequence[Entry]
    skipped: Sequence[Skipped] = ()


def reading_threads(entries: Sequence[Entry], cores: int) -> int:
    """How many threads read and decode images: one a core, or more where some wait for a network."""
    some = entries[:: max(1, len(entries) // _SAMPLED)]
    return max(cores, REMOTE_THREADS) if any(getattr(entry, "remote", False) is True for entry in some) else cores


def check_source(source: Source) -> None:
    """Hold a plugin's source to :class:`Source`.

    Raises:
        PluginError: if something about it cannot be used.
    """
    if not isinstance(source, Guarded):
        return
    if not isinstance(source.location, str):
        raise source.fault("has an unusable location", repr(source.location), "text")
    names = Counter(getattr(entry, "name", None) for entry in source.entries)
    for name, count in names.items():
        if not isinstance(name, str):
            raise source.fault("has an entry without a name", f"{name!r}, {count} times", "text")
        if count > 1:
            raise source.fault("has several entries of one name", name, "names that are unique in the source")
    if not all(hasattr(entry, "read") for entry in source.entries):
        raise source.fault("has an entry that cannot be read", "no method read", "a clsbench.Entry")
    skipped = source.skipped
    if not isinstance(skipped, Sequence) or not all(
        isinstance(getattr(one, part, None), str) for one in skipped for part in ("name", "reason")
    ):
        raise source.fault("has an unusable list of what it skipped", f"{skipped!r:.200}", "names with a reason")


def count_suffixes(names: Sequence[str], most: int | None = 5) -> str:
    """The most common suffixes of some files.

    >>> count_suffixes(["a.txt", "b.TXT", "LICENSE"])
    '2 .txt, 1 no suffix'
    """
    return ", ".join(f"{count} {suffix}" for suffix, count in _suffixes(names).most_common(most))


def _suffixes(names: Sequence[str]) -> Counter[str]:
    return Counter(os.path.splitext(name)[1].lower() or "no suffix" for name in names)


def skipped_json(skipped: Sequence[Skipped], *, complete: bool = False) -> list[dict[str, Any]]:
    """What was skipped, by reason, as JSON.

    Args:
        skipped: Of a source.
        complete: Name all of it rather than the first three.

    >>> skipped_json([Skipped("a.txt", NOT_AN_IMAGE)])
    [{'reason': 'not an image by its first bytes', 'count': 1, 'suffixes': {'.txt': 1}, 'names': ['a.txt']}]
    """
    return [
        {
            "reason": reason,
            "count": len(names),
            "suffixes": dict(_suffixes(names).most_common()),
            "names": names if complete else names[:_EXAMPLES],
        }
        for reason, names in _by_reason(skipped).items()
    ]


def _by_reason(skipped: Sequence[Skipped]) -> dict[str, list[str]]:
    by_reason: dict[str, list[str]] = {}
    for one in skipped:
        by_reason.setdefault(one.reason, []).append(one.name)
    return by_reason


def damage_notes(skipped: Sequence[Skipped]) -> list[str]:
    """A line for each reason why images may be missing, which nobody should overlook.

    >>> damage_notes([Skipped("a.tar", "the archive is cut off", damage=True), Skipped("a.txt", NOT_AN_IMAGE)])
    ['images may be missing: a.tar: the archive is cut off']
    """
    found = _by_reason([one for one in skipped if getattr(one, "damage", False)])
    return [
        f"images may be missing: {on_one_line(names[0])}: {on_one_line(reason)}"
        + (f", and {len(names) - 1} more" if len(names) > 1 else "")
        for reason, names in found.items()
    ]


def skipped_notes(skipped: Sequence[Skipped]) -> list[str]:
    """A line for each other reason, for the user to read; photos of a format that nothing reads here have their own.

    >>> skipped_notes([Skipped("a.txt", NOT_AN_IMAGE), Skipped("a.jpg", "encrypted")])
    ['not images by their first bytes, left out: 1 .txt', '1 left out: encrypted, such as a.jpg']
    """
    return [
        note
        for reason, names in _by_reason([one for one in skipped if not getattr(one, "damage", False)]).items()
        for note in (
            _other_suffixes(names)
            if reason == NOT_AN_IMAGE
            else [f"{len(names)} left out: {reason}, such as {on_one_line(names[0])}"]
        )
    ]


def _other_suffixes(names: Sequence[str]) -> Iterator[str]:
    photos = [name for name in names if name.lower().endswith(UNREAD_PHOTOS)]
    if photos:
        yield f"photos of a format that is not read, left out: {count_suffixes(photos)} (convert them to JPEG)"
    if others := [name for name in names if not name.lower().endswith(UNREAD_PHOTOS)]:
        yield f"not images by their first bytes, left out: {count_suffixes(others)}"
