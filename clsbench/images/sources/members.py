"""Members: what is in an archive, whatever its kind."""

from __future__ import annotations

from dataclasses import dataclass

from clsbench.errors import DataError
from clsbench.images.sources.urls import redacted


@dataclass(frozen=True, slots=True)
class Member:
    """Something in an archive.

    Args:
        name: As it is in the archive; of a folder with a slash at the end.
        place: Numbers that say where a file lies; empty for what is not one.
        reason: Why it is passed over, if it is.
        damage: Whether images may be missing for it.
    """

    name: str
    place: tuple[int, ...] = ()
    reason: str | None = None
    damage: bool = False


def unreadable(location: str, error: object) -> DataError:
    """The error for an archive that nothing can be read of."""
    return DataError(
        "the archive cannot be read: it is cut off or damaged, or not an archive",
        where=redacted(location), got=error, hint="copy or download it again",
    )  # fmt: skip
