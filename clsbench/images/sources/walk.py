"""What lies below a folder, in the order of the paths: any depth, and no circle of links without an end."""

from __future__ import annotations

import os
from collections.abc import Iterator
from dataclasses import dataclass

from clsbench.errors import DataError
from clsbench.images.sources.content import HIDDEN, is_hidden

CIRCLE = "a link to a folder that it lies in"
AGAIN = "a link to a folder that was listed before"


@dataclass(frozen=True, slots=True)
class Found:
    """Something below a folder.

    Args:
        name: Relative path with forward slashes; of a folder with one at the end.
        entry: Of a file.
        reason: Of what is passed over: why.
        damage: Whether images may be missing for it.
    """

    name: str
    entry: os.DirEntry[str] | None = None
    reason: str | None = None
    damage: bool = False


@dataclass(slots=True)
class _Level:
    """A folder that is being walked: what is still to come, what its names begin with, and which folder it is."""

    rest: Iterator[os.DirEntry[str]]
    prefix: str
    identity: tuple[int, int]
    again: bool


def walk(folder: str) -> Iterator[Found]:
    """Files and folders below a folder, sorted by their paths; hidden files are left out.

    A link to a folder is followed, also where the folder is listed already: a class may be a link to another. Within
    what is listed again further such links are passed over, so that folders that link to each other stay finite.

    Raises:
        DataError: if the folder itself cannot be read.
    """
    try:
        status = os.stat(folder)
        levels = [_Level(_sorted(folder), "", (status.st_dev, status.st_ino), again=False)]
    except OSError as error:
        raise DataError("a folder cannot be read", where=folder, got=error.strerror) from None
    above, seen = {levels[0].identity}, {levels[0].identity}
    while levels:
        level = levels[-1]
        entry = next(level.rest, None)
        if entry is None:
            above.discard(levels.pop().identity)
            continue
        name = level.prefix + entry.name
        if not _is_folder(entry):
            if not is_hidden(entry.name):
                yield Found(name, entry)
            continue
        name += "/"
        if is_hidden(entry.name):
            yield Found(name, reason=HIDDEN)
            continue
        try:
            status = os.stat(entry.path)
            identity = (status.st_dev, status.st_ino)
            known = identity in seen
            if identity in above or (known and level.again and entry.is_symlink()):
                yield Found(name, reason=CIRCLE if identity in above else AGAIN)
                continue
            below = _Level(_sorted(entry.path), name, identity, again=level.again or known)
        except OSError as error:
            yield Found(name, reason=f"a folder that cannot be read: {error.strerror}", damage=True)
            continue
        yield Found(name)
        levels.append(below)
        above.add(identity)
        seen.add(identity)


def _sorted(folder: str) -> Iterator[os.DirEntry[str]]:
    """What is in a folder, so that the paths of everything below come in order."""
    return iter(sorted(os.scandir(folder), key=lambda one: f"{one.name}/" if _is_folder(one) else one.name))


def _is_folder(entry: os.DirEntry[str]) -> bool:
    try:
        return entry.is_dir()
    except OSError:  # a link to itself
        return False
