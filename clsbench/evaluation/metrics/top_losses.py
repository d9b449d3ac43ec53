"""The ``top-losses`` metric: the most confident mistakes."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from functools import partial
from typing import Any

import numpy as np

from clsbench.predictions.metric import NO_NAMES, Column, Row, Shown, ShownMetric
from clsbench.predictions.outcomes import Outcomes
from clsbench.predictions.values import Value

#: Images shown in the terminal.
FEW = 5


@dataclass(frozen=True)
class TopLoss(Value):
    """A wrongly classified image.

    Args:
        name: Its path.
        label: Its class.
        predicted: The class it was taken for.
        loss: -ln p(label); None where it is not known.
        probability: Of the predicted class; None where it is not known.
    """

    name: str
    label: str
    predicted: str
    loss: float | None
    probability: float | None


@dataclass(frozen=True)
class TopLosses(Value):
    """Wrongly classified images, greatest loss first."""

    images: tuple[TopLoss, ...]

    def to_json(self) -> Any:
        """A list of the images."""
        return [image.to_json() for image in self.images]


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
    return {"top_losses": TopLosses(images)}


def _known(value: float) -> float | None:
    return None if np.isnan(value) else float(value)


def _rows(found: TopLosses) -> Iterator[Row]:
    yield from found.images[:FEW]


SHOWN = (
    Shown(
        "top_losses",
        "table",
        "Top losses",
        columns=(
            Column("image", width=20),
            Column("label", width=14),
            Column("predicted", width=14),
            Column("loss", ".4f"),
            Column("confidence", ".2%"),
        ),
        rows=_rows,
        places=("infer", "evaluate"),
    ),
)
