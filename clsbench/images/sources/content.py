"""What is an image in a source: a file with the suffix of one, or any other that begins like one."""

from __future__ import annotations

import os
import stat
from collections.abc import Callable, Collection

from clsbench.errors import ClsbenchError
from clsbench.file_kinds import HEAD
from clsbench.images.formats import other_kind, sniff
from clsbench.images.sources.source import NOT_AN_IMAGE, NOT_REGULAR

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


def hidden_part(name: str) -> str | None:
    """Of a path, its first folder that is hidden, with a slash; the path itself if the file is; else None.

    >>> hidden_part("a/.b/c/d.png"), hidden_part("a/.d.png"), hidden_part("a/d.png")
    ('a/.b/', 'a/.d.png', None)
    """
    parts = name.split("/")
    for depth, part in enumerate(parts):
        if is_hidden(part):
            return "/".join(parts[: depth + 1]) + ("/" if depth < len(parts) - 1 else "")
    return None


def begins_like_an_image(head: bytes) -> bool:
    """Whether some first bytes are those of an image.

    >>> begins_like_an_image(bytes.fromhex("ffd8ffe0")), begins_like_an_image(b"hello")
    (True, False)
    """
    return sniff(head) != "unknown"


def why_not(name: str, suffixes: Collection[str], head: Callable[[], bytes | None]) -> str | None:
    """Why a file is not one of the images; None if it is.

    Args:
        name: Its name or path.
        suffixes: Those of images, in lower case with their dot: such a file is not looked into.
        head: Gives its first :data:`HEAD` bytes, or fewer; None where it is not a regular file.
            An OSError or a ClsbenchError means that it cannot be read.
    """
    suffix = os.path.splitext(name)[1].lower()
    if suffix in suffixes:
        return None
    try:
        first = head()
    except (OSError, ClsbenchError) as error:
        said = getattr(error, "strerror", None) or getattr(error, "what", None) or error
        # Who knows what it is: a row says so, unless its name says that it is something else.
        return f"it cannot be read ({said}), and is not an image by its suffix" if other_kind(suffix) else None
    if first is None:
        return NOT_REGULAR
    return None if begins_like_an_image(first) and not other_kind(suffix, first) else NOT_AN_IMAGE


def file_head(path: str) -> bytes | None:
    """The first :data:`HEAD` bytes of a regular file; None for any other, which is not opened to be read.

    Raises:
        OSError: if it cannot be opened.
    """
    if not stat.S_ISREG(os.stat(path).st_mode):  # opening a pipe or a device may do something
        return None
    descriptor = os.open(path, os.O_RDONLY | getattr(os, "O_NONBLOCK", 0) | getattr(os, "O_CLOEXEC", 0))
    try:
        return os.read(descriptor, HEAD) if stat.S_ISREG(os.fstat(descriptor).st_mode) else None
    finally:
        os.close(descriptor)
