"""Images that calibrate a file must not judge it: the same ones are found by content, whatever they are called."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from typing import TYPE_CHECKING

from clsbench.errors import ClsbenchError, DataError
from clsbench.text import counted

if TYPE_CHECKING:
    from clsbench.images.entries import Entry


def check_apart(ranges: Sequence[Entry], judging: Sequence[Entry]) -> None:
    """Refuse images that are to judge what was made with them.

    Args:
        ranges: Those that calibrate.
        judging: Those that judge.

    Raises:
        DataError: naming one that does both.
    """
    used = {content for entry in ranges if (content := _content(entry))}
    if both := [entry.name for entry in judging if _content(entry) in used]:
        raise DataError(
            "the same images cannot calibrate int8 and judge it", where="--calibrate-images and --gate-images",
            got=f"{counted(len(both), 'image')} in both, such as {both[0]}",
            expected="training images to calibrate with, and others for the gate",
        )  # fmt: skip


def _content(entry: Entry) -> bytes | None:
    """A hash of what an entry holds; None where it cannot be read, which is told elsewhere."""
    try:
        content = entry.read()
    except ClsbenchError:
        return None
    return hashlib.sha256(content if isinstance(content, bytes) else content.tobytes()).digest()
