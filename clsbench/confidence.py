"""What a model card says of its probabilities: how they were calibrated, and which are too low to decide."""

from __future__ import annotations

import dataclasses
from dataclasses import dataclass
from typing import Any

from clsbench.errors import ModelError


@dataclass(frozen=True, kw_only=True)
class Calibration:
    """How the temperature of a card was found, and what it changed on images that it was not fitted on.

    Log loss and ECE are of held-out folds: the temperature of a fold was fitted on the other folds. Intervals are the
    bootstrap's, of 95 %.

    Args:
        images: Labelled images.
        method: How, such as ``temperature``.
        folds: Of the images.
        temperature_interval: Of the card's temperature, which was fitted on all images.
        log_loss_before, log_loss_after: The mean of -ln p(true class), in nats, at a temperature of 1 and calibrated.
        log_loss_change: The interval of after minus before, of new images: below 0 where calibration helps.
        ece_before, ece_after: Expected calibration error, 0 to 1.
        unreadable: Images that were left out because they could not be read.
    """

    images: int
    method: str = "temperature"
    folds: int
    temperature_interval: tuple[float, float]
    log_loss_before: float
    log_loss_after: float
    log_loss_change: tuple[float, float]
    ece_before: float
    ece_after: float
    unreadable: int = 0

    @property
    def helps(self) -> bool:
        """Whether the log loss of new images is shown to fall."""
        return self.log_loss_change[1] < 0

    @property
    def harms(self) -> bool:
        """Whether it is shown to rise."""
        return self.log_loss_change[0] > 0

    def to_json(self) -> dict[str, Any]:
        """Plain values."""
        return _plain(self)


@dataclass(frozen=True, kw_only=True)
class Abstention:
    """How the threshold of a card was chosen, and what it kept of images that it was not chosen on.

    The threshold of a fold was chosen on the other folds. Intervals are Wilson's, of 95 %.

    Args:
        target: The precision that was asked for, between 0 and 1.
        images: Labelled images.
        folds: Of the images.
        kept, correct: Images at or above the threshold, and those of them that were classified correctly.
        precision, precision_interval: Correct among the kept, a fraction; None where none was kept.
        coverage, coverage_interval: Kept among all, a fraction.
        unreadable: Images that were left out because they could not be read.
    """

    target: float
    images: int
    folds: int
    kept: int
    correct: int
    precision: float | None
    precision_interval: tuple[float, float]
    coverage: float
    coverage_interval: tuple[float, float]
    unreadable: int = 0

    def to_json(self) -> dict[str, Any]:
        """Plain values."""
        return _plain(self)


def check_threshold(below: float | None) -> None:
    """Refuse a threshold that no probability can be held to.

    Raises:
        ModelError: if it is not above 0 and at most 1.
    """
    if below is not None and not 0 < below <= 1:
        raise ModelError(
            "the threshold of a model card is not a probability", got=f"abstain_below {below}",
            expected="a number above 0 and at most 1",
        )  # fmt: skip


def _plain(record: Calibration | Abstention) -> dict[str, object]:
    return {k: list(v) if isinstance(v, tuple) else v for k, v in dataclasses.asdict(record).items()}
