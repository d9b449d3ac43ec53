"""What the page carries for clicking through: the confusion matrix and the images behind it, as JSON."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray

from clsbench.evaluation.report.confusions import cells_of, mistakes, supports
from clsbench.evaluation.report.examples import Listed
from clsbench.evaluation.report.formats import fixed, name
from clsbench.evaluation.report.found import find
from clsbench.evaluation.report.thumbnails import WANTED, Pictures

#: Pairs of confused classes kept, the largest.
CELLS = 30_000

Cells = Mapping[tuple[int, int], list[Listed]]


def drill_down(facts: Mapping[str, Any], images: Cells, pictures: Pictures) -> dict[str, Any]:
    """The values behind the clicks.

    Args:
        facts: From :func:`clsbench.evaluation.judging.evaluate`.
        images: From :func:`clsbench.evaluation.report.examples.images_by_cell`, or empty.
        pictures: Those that the page does not show yet are added while there is room.

    Returns:
        ``classes``: K names. ``support``: images of each. ``cells``: true class, predicted class, count, one
        after the other. ``cells_left_out``: how many mistaken pairs are not among them. ``images``:
        [true, predicted, [name, probability, number of its picture or None, name, …]]. ``pictures``: number ->
        data URI, of those that are not in the page itself.
    """
    found, classes = find(facts, "confusion"), [name(title) for title in facts["classes"]]
    cells = cells_of(found.value) if found.there else np.zeros((0, 3), np.int64)
    wrong = mistakes(cells)
    kept = np.concatenate([cells[cells[:, 0] == cells[:, 1]], wrong[:CELLS]])
    more = _more_pictures(images, wrong, pictures)
    return {
        "classes": classes,
        "support": supports(cells, len(classes)).tolist(),
        "cells": kept.ravel().tolist(),
        "cells_left_out": max(0, len(wrong) - CELLS),
        "images": [[*cell, _flat(listed, pictures)] for cell, listed in images.items()],
        "pictures": more,
    }


def _flat(listed: list[Listed], pictures: Pictures) -> list[str | int | None]:
    """Probabilities as text, since JavaScript rounds differently."""
    return [
        value for image in listed for value in (name(image.name), fixed(image.confidence), pictures.key(image.name))
    ]


def _more_pictures(images: Cells, wrong: NDArray[np.int64], pictures: Pictures) -> dict[int, str]:
    """Pictures of mistakes that the page does not show anywhere, largest entry first."""
    if not pictures:
        return {}
    found = {}
    for label, predicted, _ in wrong[:WANTED].tolist():
        for image in images.get((label, predicted), []):
            if pictures.key(image.name) is None and (picture := pictures.embed(image.name)):
                found[picture.key] = picture.uri
    return found
