"""What the page carries for clicking through: the confusion matrix and the images behind it, as JSON."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray

from clsbench.evaluation.judging import Evaluation
from clsbench.evaluation.metrics.confusion import Confusion
from clsbench.evaluation.report.examples import Listed
from clsbench.evaluation.report.formats import fixed, name
from clsbench.evaluation.report.thumbnails import WANTED, Thumbnails
from clsbench.predictions.values import Absent

#: Pairs of confused classes kept, the largest.
CELLS = 30_000

Cells = Mapping[tuple[int, int], list[Listed]]


def drill_down_json(evaluation: Evaluation, images: Cells, thumbnails: Thumbnails) -> dict[str, Any]:
    """The values behind the clicks.

    Args:
        evaluation: That the page is about.
        images: From :func:`clsbench.evaluation.report.examples.images_by_cell`, or empty.
        thumbnails: Those that the page does not show yet are added while there is room.

    Returns:
        ``classes``: K names. ``support``: images of each. ``cells``: true class, predicted class, count, one
        after the other. ``cells_left_out``: how many mistaken pairs are not among them. ``images``:
        [true, predicted, [name, probability, number of its thumbnail or None, name, …]]. ``thumbnails``:
        number -> data URI, of those that are not in the page itself.
    """
    found = evaluation.find("confusion", Confusion)
    if isinstance(found, Absent):
        found = Confusion(evaluation.classes, np.zeros((0, 3), np.int64))
    cells, wrong = found.cells, found.mistakes
    kept = np.concatenate([cells[cells[:, 0] == cells[:, 1]], wrong[:CELLS]])
    more = _more_thumbnails(images, wrong, thumbnails)
    return {
        "classes": [name(title) for title in evaluation.classes],
        "support": found.support.tolist(),
        "cells": kept.ravel().tolist(),
        "cells_left_out": max(0, len(wrong) - CELLS),
        "images": [[*cell, _flat(listed, thumbnails)] for cell, listed in images.items()],
        "thumbnails": more,
    }


def _flat(listed: list[Listed], thumbnails: Thumbnails) -> list[str | int | None]:
    """Probabilities as text, since JavaScript rounds differently."""
    return [
        value for image in listed for value in (name(image.name), fixed(image.confidence), thumbnails.key(image.name))
    ]


def _more_thumbnails(images: Cells, wrong: NDArray[np.int64], thumbnails: Thumbnails) -> dict[int, str]:
    """Thumbnails of mistakes that the page does not show anywhere, largest cell first."""
    if not thumbnails:
        return {}
    found = {}
    for label, predicted, _ in wrong[:WANTED].tolist():
        for image in images.get((label, predicted), []):
            if thumbnails.key(image.name) is None and (thumbnail := thumbnails.embed(image.name)):
                found[thumbnail.key] = thumbnail.uri
    return found
