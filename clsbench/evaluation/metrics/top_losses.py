"""The ``top-losses`` metric: the most confident mistakes."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import Any

import numpy as np

from clsbench.evaluation.absence import NO_NAMES, absent
from clsbench.predictions.outcomes import Outcomes


def build(*, limit: int = 100) -> Callable[[Outcomes], dict[str, Any]]:
    """The metric; see :func:`top_losses`."""
    return partial(top_losses, limit=limit)


def top_losses(outcomes: Outcomes, *, limit: int = 100) -> dict[str, Any]:
    """The wrongly classified images by loss, -ln p(true class), greatest first.

    Equal losses are ordered by confidence; so are images whose loss is not known.

    Args:
        outcomes: To judge.
        limit: At most so many images.

    Returns:
        ``top_losses``: a list of name, label, predicted, loss and ``probability`` (of the predicted
        class); None where it is not known.
    """
    if outcomes.names is None:
        return absent(NO_NAMES, "top_losses")
    rows = np.flatnonzero(outcomes.predicted != outcomes.labels)
    smallest = np.finfo(np.float64).eps
    losses = -np.log(np.clip(outcomes.label_confidence[rows].astype(np.float64), smallest, 1 - smallest))
    confidence = outcomes.confidence[rows].astype(np.float64)
    keys = [np.nan_to_num(-values, nan=np.inf) for values in (confidence, losses)]
    return {
        "top_losses": [
            {
                "name": outcomes.names[int(rows[k])],
                "label": outcomes.classes[outcomes.labels[rows[k]]],
                "predicted": outcomes.classes[outcomes.predicted[rows[k]]],
                "loss": _known(losses[k]),
                "probability": _known(confidence[k]),
            }
            for k in np.lexsort(keys)[:limit]
        ]
    }


def _known(value: float) -> float | None:
    return None if np.isnan(value) else float(value)
