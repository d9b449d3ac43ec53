"""The ``top-losses`` metric: the most confident mistakes."""

from __future__ import annotations

from dataclasses import dataclass
from functools import partial

import numpy as np

from clsbench.predictions.metric import NO_NAMES, TERMINAL, Column, Shown, ShownMetric
from clsbench.predictions.outcomes import Outcomes
from clsbench.predictions.values import Rows, Value


@dataclass(frozen=True)
class TopLoss(Value):
    """A wrongly classified image, its loss -ln p(label) and p(predicted); None where they are not known."""

    name: str
    label: str
    predicted: str
    loss: float | None
    probability: float | None


@dataclass(frozen=True)
class TopLosses(Rows[TopLoss]):
    """Wrongly classified images, greatest loss first, and how many there are in all."""

    found: int


def build(*, limit: int = 100) -> ShownMetric:
    """The metric; see :func:`top_losses`."""
    return ShownMetric(partial(top_losses, limit=limit), SHOWN)


def top_losses(outcomes: Outcomes, *, limit: int = 100) -> dict[str, Value]:
    """The wrongly classified images by loss, -ln p(true class), greatest first.

    Equal losses are ordered by confidence; so are images whose loss is not known.

    Args:
        outcomes: To judge.
        limit: At most so many images.

    Returns:
        ``top_losses``: :class:`TopLosses`.
    """
    if outcomes.names is None:
        return {"top_losses": NO_NAMES}
    rows = np.flatnonzero(outcomes.predicted != outcomes.labels)
    smallest = np.finfo(np.float64).eps
    losses = -np.log(np.clip(outcomes.label_confidence[rows].astype(np.float64), smallest, 1 - smallest))
    confidence = outcomes.confidence[rows].astype(np.float64)
    keys = [np.nan_to_num(-values, nan=np.inf) for values in (confidence, losses)]
    images = tuple(
        TopLoss(
            outcomes.names[int(rows[k])],
            outcomes.classes[outcomes.labels[rows[k]]],
            outcomes.classes[outcomes.predicted[rows[k]]],
            _known(losses[k]),
            _known(confidence[k]),
        )
        for k in np.lexsort(keys)[:limit]
    )
    return {"top_losses": TopLosses(images, len(rows))}


def _known(value: float) -> float | None:
    return None if np.isnan(value) else float(value)


SHOWN = (
    Shown(
        "top_losses", "table", "Top losses", places=TERMINAL, rows=lambda found: found.rows,
        total=lambda found: found.found,
        columns=(
            Column("image", width=20, path=True), Column("label", width=14), Column("predicted", width=14),
            Column("loss", ".4f"), Column("confidence", ".2%"),
        ),
    ),
)  # fmt: skip
