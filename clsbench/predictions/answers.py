"""Answers: what a model says of single images, as people read it."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, cast

from clsbench.predictions.block import Predictions
from clsbench.predictions.columns import COLUMNS, rows

#: How many of the best classes an answer has.
BEST = 3


@dataclass(frozen=True, kw_only=True)
class Answer:
    """What a model says of one image.

    Args:
        path: The name of the image, as in a predictions file.
        label: Its true class, where that is known.
        best: The best classes with their probabilities, best first; empty after an error.
        error: Why it was not classified, or None.
        abstained: Whether the best probability is below the model's threshold; None where there is none.
    """

    path: str
    label: str | None
    best: tuple[tuple[str, float], ...]
    error: str | None
    abstained: bool | None = None

    def to_json(self) -> dict[str, Any]:
        """Plain values: keys of a predictions file, and ``topk`` as :meth:`clsbench.Prediction.to_json` has it."""
        predicted, confidence = self.best[0] if self.best else (None, None)
        return {
            "path": self.path,
            "label": self.label,
            "predicted": predicted,
            "confidence": confidence,
            "topk": [{"label": name, "probability": value} for name, value in self.best],
            "error": self.error,
            **({} if self.abstained is None else {"abstained": self.abstained}),
        }


def answers(
    predictions: Predictions, classes: tuple[str, ...], best: int = BEST, *, abstain_below: float | None = None
) -> list[Answer]:
    """The answer for each image of a block, in order; probabilities have six places, as in a predictions file."""
    made, first = [], len(COLUMNS)
    for row in rows(predictions, classes, min(best, len(classes))):
        pairs = zip(row[first::2], row[first + 1 :: 2], strict=True)
        below = None if abstain_below is None or row[3] is None else cast(float, row[3]) < abstain_below
        made.append(
            Answer(
                path=str(row[0]),
                label=cast("str | None", row[1]),
                best=tuple((str(name), cast(float, value)) for name, value in pairs if name is not None),
                error=cast("str | None", row[6]),
                abstained=below,
            )
        )
    return made
