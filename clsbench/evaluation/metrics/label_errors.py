"""The ``label-errors`` metric: images whose label is probably wrong, by confident learning.

Source: C. G. Northcutt, L. Jiang and I. L. Chuang, Confident learning: estimating uncertainty in
dataset labels, JAIR 70 (2021), the off-diagonals of the confident joint; the same as cleanlab's
``find_label_issues(filter_by="confident_learning", return_indices_ranked_by="self_confidence")``.

The model must not have been trained on the images: it would repeat the labels it was taught. And it must be good:
the probabilities have to be nearer to the truth than to the thresholds (theorem 2), or what is found are the model's
own mistakes. Northcutt asks for an accuracy above 60% where labels are right (cleanlab issue 66); where people
checked what is found by good models, in ten well-known test sets, half of it was wrong labels (C. G. Northcutt,
A. Athalye and J. Mueller, Pervasive label errors in test sets, NeurIPS 2021, arXiv:2103.14749).

Beyond cleanlab, no image is suspected to be of a class with too few images. The threshold of a class is its mean
probability over the images labelled with it: with one or two of them, which the model got wrong, it is close to 0,
and every mistake that goes to such a class would be a suspect.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import partial

import numpy as np
from numpy.typing import NDArray

from clsbench.errors import OptionError
from clsbench.predictions.metric import NO_NAMES, NO_PROBABILITIES, TERMINAL, Column, Shown, ShownMetric
from clsbench.predictions.outcomes import Outcomes
from clsbench.predictions.spill import parts
from clsbench.predictions.values import Absent, Proportion, Value
from clsbench.text import counted

#: Differences of probabilities that count as none; cleanlab's.
SLACK = 1e-6

#: The accuracy from which on suspects are named; it has to be shown, by the lower end of its 95% interval.
MIN_ACCURACY = 0.6

#: The images of a class from which on others may be suspected to be of it.
MIN_IMAGES = 5


@dataclass(frozen=True)
class LabelError(Value):
    """An image, its label and the class it more probably shows, each with its probability."""

    name: str
    label: str
    label_probability: float
    suggested: str
    probability: float


@dataclass(frozen=True)
class LabelErrors(Value):
    """How many label errors are suspected, their share of all images, and the first, least probable label first.

    ``low`` and ``high`` are the 95% Wilson interval of the share.
    """

    found: int
    share: float
    low: float
    high: float
    images: tuple[LabelError, ...]


def build(*, limit: int = 100, min_accuracy: float = MIN_ACCURACY, min_images: int = MIN_IMAGES) -> ShownMetric:
    """The metric; see :func:`label_errors`.

    Raises:
        OptionError: if the accuracy is no fraction, or a class needs no image.
    """
    if min_images < 1:
        raise OptionError("a class needs images", where="min_images", got=min_images, expected="1 or more")
    if not 0 <= min_accuracy <= 1:
        raise OptionError("an accuracy is a fraction", where="min_accuracy", got=min_accuracy, expected="0 to 1")
    return ShownMetric(partial(label_errors, limit=limit, min_accuracy=min_accuracy, min_images=min_images), SHOWN)


def label_errors(
    outcomes: Outcomes, *, limit: int = 100, min_accuracy: float = MIN_ACCURACY, min_images: int = MIN_IMAGES
) -> dict[str, Value]:
    """Suspected label errors, the least probable label first.

    Args:
        outcomes: To judge.
        limit: At most so many images.
        min_accuracy: Below this accuracy nothing is suspected; 0 for always.
        min_images: No image is suspected to be of a class with fewer images; 1 for cleanlab's rule.

    Returns:
        ``label_errors``: :class:`LabelErrors`.
    """
    if outcomes.probabilities is None:
        return {"label_errors": NO_PROBABILITIES}
    if outcomes.names is None:
        return {"label_errors": NO_NAMES}
    accuracy = Proportion.of(int(np.count_nonzero(outcomes.predicted == outcomes.labels)), len(outcomes.labels))
    if accuracy.low < min_accuracy:
        return {"label_errors": _too_weak(accuracy, min_accuracy)}
    if np.bincount(outcomes.labels).max() < min_images:
        return {"label_errors": _too_few(min_images)}
    rows, suggested = suspects(outcomes, min_images=min_images)
    found, total = len(rows), len(outcomes.labels)
    images = tuple(
        LabelError(
            outcomes.names[row],
            outcomes.classes[outcomes.labels[row]],
            float(outcomes.label_confidence[row]),
            outcomes.classes[guess],
            float(outcomes.probabilities[row, guess]),
        )
        for row, guess in zip(rows[:limit].tolist(), suggested[:limit].tolist(), strict=True)
    )
    share = Proportion.of(found, total)
    return {"label_errors": LabelErrors(found, share.value, share.low, share.high, images)}


def _too_weak(accuracy: Proportion, least: float) -> Absent:
    return Absent(
        f"the mistakes of a weak model look like label errors, and the accuracy may be below {least:.0%} "
        f"(95% interval {accuracy.low:.2%} – {accuracy.high:.2%}; the bound is Northcutt's, cleanlab issue 66); "
        "--with label-errors.min_accuracy=0 lists the suspects"
    )


def _too_few(least: int) -> Absent:
    return Absent(
        f"no class has {counted(least, 'image')} or more, which tell how sure the model is of a class; "
        "--with label-errors.min_images=1 lists the suspects"
    )


def suspects(outcomes: Outcomes, *, min_images: int = 1) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """Rows of suspected label errors and the class each probably belongs to, int64 (S,) both."""
    assert outcomes.probabilities is not None
    thresholds = _thresholds(outcomes, min_images)[:, None] - SLACK
    found, guesses = [], []
    for columns, part in parts(outcomes.probabilities.T):
        labels, index = outcomes.labels[columns], np.arange(part.shape[1])
        confident = part >= thresholds
        count = confident.sum(axis=0)
        guess = np.where(count > 1, part.argmax(axis=0), confident.argmax(axis=0))
        rows = index[(count > 0) & (guess != labels)]
        close = part[:, rows].astype(np.float64)
        close[labels[rows], np.arange(rows.size)] += SLACK
        rows = rows[close.argmax(axis=0) != labels[rows]]
        found.append(rows + columns.start)
        guesses.append(guess[rows])
    rows, suggested = np.concatenate(found), np.concatenate(guesses)
    order = np.argsort(outcomes.label_confidence[rows], kind="stable")
    return rows[order], suggested[order]


def _thresholds(outcomes: Outcomes, min_images: int) -> NDArray[np.float64]:
    """float64 (K,): the mean probability of each class over its images; 2, out of reach, with too few of them."""
    count = len(outcomes.classes)
    times = np.bincount(outcomes.labels, minlength=count)
    sums = np.bincount(outcomes.labels, weights=outcomes.label_confidence, minlength=count)
    means = np.where(times >= min_images, sums / np.maximum(times, 1), 2.0)
    return np.maximum(means, 2 * SLACK)


SHOWN = (
    Shown(
        "label_errors", "table", "Suspected label errors", places=TERMINAL,
        columns=(
            Column("image", width=20, path=True), Column("label", width=14), Column("suggested", width=14),
            Column("probability", ".2%"),
        ),
        rows=lambda found: ((row.name, row.label, row.suggested, row.probability) for row in found.images),
        heading=lambda found: (
            f"Suspected label errors: {counted(found.found, 'image')}, {found.share:.2%} "
            f"(95% interval {found.low:.2%} – {found.high:.2%})"
        ),
        total=lambda found: found.found,
    ),
)  # fmt: skip
