"""Images worth a look, as cards with pictures or as rows of a table: top losses and suspected label errors."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from clsbench.evaluation.report.formats import fixed, name
from clsbench.evaluation.report.thumbnails import LABEL_ERRORS, LOSSES, Picture, Pictures


@dataclass(frozen=True)
class Entry:
    """An image.

    Args:
        name: Its path.
        words: Under the words of the gallery: two classes.
        figures: Under the figures of the gallery: two numbers as written, and as sorted.
        picture: None where there is none.
    """

    name: str
    words: tuple[str, str]
    figures: tuple[tuple[str, float | None], tuple[str, float | None]]
    picture: Picture | None


@dataclass(frozen=True)
class Gallery:
    """Entries with and without pictures.

    Args:
        words: What the two classes of an entry are.
        figures: What its two numbers are.
        cards: Entries shown with their pictures; none where there are no pictures at all.
        rows: The other entries.
        suspect: Which of the two classes is the doubtful one.
    """

    words: tuple[str, str]
    figures: tuple[str, str]
    cards: tuple[Entry, ...]
    rows: tuple[Entry, ...]
    suspect: int


def top_losses(rows: Sequence[Mapping[str, Any]], pictures: Pictures) -> Gallery:
    """The most confident mistakes.

    Args:
        rows: ``top_losses`` of the facts.
        pictures: Where there are any.
    """
    keys = ("actual", "label"), ("predicted", "predicted"), ("loss", "loss"), ("probability", "probability")
    return _gallery(rows, keys, pictures, LOSSES, suspect=1)


def label_errors(rows: Sequence[Mapping[str, Any]], pictures: Pictures) -> Gallery:
    """Images whose label is probably wrong.

    Args:
        rows: ``label_errors`` of the facts, its ``images``.
        pictures: Where there are any.
    """
    keys = (
        ("label", "label"),
        ("suggested", "suggested"),
        ("p(label)", "label_probability"),
        ("p(suggested)", "probability"),
    )
    return _gallery(rows, keys, pictures, LABEL_ERRORS, suspect=0)


def _gallery(
    rows: Sequence[Mapping[str, Any]],
    keys: tuple[tuple[str, str], ...],
    pictures: Pictures,
    limit: int,
    *,
    suspect: int,
) -> Gallery:
    (first, a), (second, b), (third, c), (fourth, d) = keys
    entries = [
        Entry(
            name(row["name"]),
            (name(row[a]), name(row[b])),
            ((fixed(row[c]), row[c]), (fixed(row[d]), row[d])),
            pictures.embed(row["name"]) if position < limit else None,
        )
        for position, row in enumerate(rows)
    ]
    shown = limit if any(entry.picture for entry in entries) else 0
    return Gallery((first, second), (third, fourth), tuple(entries[:shown]), tuple(entries[shown:]), suspect)
