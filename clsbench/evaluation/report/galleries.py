"""Images worth a look, as cards with thumbnails or as rows of a table: top losses and suspected label errors."""

from __future__ import annotations

import math
from collections.abc import Iterable
from dataclasses import dataclass

from clsbench.evaluation.metrics.label_errors import LabelErrors
from clsbench.evaluation.metrics.top_losses import TopLosses
from clsbench.evaluation.report.formats import fixed, name
from clsbench.evaluation.report.thumbnails import LABEL_ERRORS, LOSSES, Thumbnail, Thumbnails

#: An image's path, two classes and some numbers.
Row = tuple[str, tuple[str, str], tuple[float | None, ...]]


@dataclass(frozen=True)
class Entry:
    """An image.

    Args:
        name: Its path.
        words: Under the words of the gallery: two classes.
        figures: Under the figures of the gallery: each number as written, and as sorted.
        thumbnail: None where there is none.
    """

    name: str
    words: tuple[str, str]
    figures: tuple[tuple[str, float | None], ...]
    thumbnail: Thumbnail | None


@dataclass(frozen=True)
class Gallery:
    """Entries with and without thumbnails.

    Args:
        words: What the two classes of an entry are.
        figures: What its numbers are.
        cards: Entries shown with their thumbnails; none where there are no thumbnails at all.
        rows: The other entries.
        suspect: Which of the two classes is the doubtful one.
    """

    words: tuple[str, str]
    figures: tuple[str, ...]
    cards: tuple[Entry, ...]
    rows: tuple[Entry, ...]
    suspect: int


def top_losses(found: TopLosses, thumbnails: Thumbnails) -> Gallery:
    """The most confident mistakes."""
    rows = (
        (
            image.name,
            (image.label, image.predicted),
            (image.loss, None if image.loss is None else math.exp(-image.loss), image.probability),
        )
        for image in found.rows
    )
    cards, rest = _entries(rows, thumbnails, LOSSES)
    return Gallery(("actual", "predicted"), ("loss", "p(actual)", "p(predicted)"), cards, rest, suspect=1)


def label_errors(found: LabelErrors, thumbnails: Thumbnails) -> Gallery:
    """Images whose label is probably wrong."""
    rows = (
        (image.name, (image.label, image.suggested), (image.label_probability, image.probability))
        for image in found.images
    )
    cards, rest = _entries(rows, thumbnails, LABEL_ERRORS)
    return Gallery(("label", "suggested"), ("p(label)", "p(suggested)"), cards, rest, suspect=0)


def _entries(rows: Iterable[Row], thumbnails: Thumbnails, limit: int) -> tuple[tuple[Entry, ...], tuple[Entry, ...]]:
    """The first ``limit`` as cards, if there is a thumbnail of any, and the others."""
    entries = tuple(
        Entry(
            name(path),
            (name(first), name(second)),
            tuple((fixed(figure), figure) for figure in figures),
            thumbnails.embed(path) if position < limit else None,
        )
        for position, (path, (first, second), figures) in enumerate(rows)
    )
    cards = limit if any(entry.thumbnail for entry in entries) else 0
    return entries[:cards], entries[cards:]
