"""Epochs: the lines of a run's log."""

from __future__ import annotations

import csv
import math
from collections.abc import Sequence
from dataclasses import asdict, dataclass, fields
from pathlib import Path

from clsbench.output_files import unwritable


@dataclass(frozen=True)
class Epoch:
    """One line of the log: losses in nats, accuracies as fractions, times in seconds.

    ``train_*`` are of augmented images under changing weights; ``lr`` is the head's at the
    epoch's end; ``elapsed`` counts from the start of the run; ``best`` says whether its weights
    are the best so far; ``val_images`` could be read to judge it on. ``images_per_second`` were trained on,
    validation left out; ``waited`` is the share of that time in which steps waited for their images.
    """

    epoch: int
    stage: str
    train_loss: float
    train_accuracy: float
    val_loss: float
    val_accuracy: float
    lr: float
    seconds: float
    elapsed: float
    best: bool = False
    val_images: int = 0
    images_per_second: float = 0.0
    waited: float = 0.0

    @property
    def quality(self) -> tuple[float, float]:
        """What makes an epoch the best: validation accuracy, ties broken by the loss."""
        return self.val_accuracy, -self.val_loss if math.isfinite(self.val_loss) else -math.inf


def write_log(file: Path, epochs: Sequence[Epoch]) -> None:
    """Add epochs to log.csv; from the first one on it is written anew.

    Raises:
        DataError: if that cannot be done, for example because the disk is full.
    """
    begins = not epochs or epochs[0].epoch == 1
    try:
        with file.open("w" if begins else "a", newline="", encoding="utf-8") as opened:
            log = csv.DictWriter(opened, [field.name for field in fields(Epoch)])
            if begins:
                log.writeheader()
            log.writerows(asdict(epoch) for epoch in epochs)
    except OSError as error:
        raise unwritable(file, "the log", error) from None
