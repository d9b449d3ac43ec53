"""Images that calibrate a file must not judge it: the same ones are found by content, whatever they are called."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from typing import TYPE_CHECKING

from clsbench.api.observer import Observer
from clsbench.errors import ClsbenchError, DataError
from clsbench.text import counted

if TYPE_CHECKING:
    from clsbench.images.entries import Entry


def apart(ranges: Sequence[Entry], judging: Sequence[Entry], observer: Observer) -> list[Entry]:
    """The images that calibrate, without those that are to judge what was made with them.

    Args:
        ranges: Those that calibrate.
        judging: Those that judge.
        observer: Hears how many were left out.

    Raises:
        DataError: if none is left, naming one that would do both.
    """
    judges = {content for entry in judging if (content := _content(entry))}
    left = [entry for entry in ranges if _content(entry) not in judges]
    if ranges and not left:
        raise DataError(
            "the same images cannot calibrate int8 and judge it", where="--calibrate-images and --gate-images",
            got=f"{counted(len(ranges), 'image')} in both, such as {ranges[0].name}",
            expected="training images to calibrate with, and others for the gate", code="CB-G006",
        )  # fmt: skip
    if left_out := len(ranges) - len(left):
        observer.note(f"{counted(left_out, 'image')} would calibrate and judge: left out of the ranges")
    return left


def _content(entry: Entry) -> bytes | None:
    """A hash of what an entry holds; None where it cannot be read, which is told elsewhere."""
    try:
        content = entry.read()
    except ClsbenchError:
        return None
    return hashlib.sha256(content if isinstance(content, bytes) else content.tobytes()).digest()
