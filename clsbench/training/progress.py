"""How far an epoch is: Progress to go on with, BatchLoss for people."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

from clsbench.training.run_state import Part


@dataclass(frozen=True)
class BatchLoss:
    """A line of ``--log-every``: the mean loss in nats of the images since the line before it.

    Args:
        epoch: From 1.
        batch: How many of the epoch's ``total`` batches are done.
        loss: Of augmented images under changing weights.
        lr: The head's.
    """

    epoch: int
    batch: int
    total: int
    loss: float
    lr: float


@dataclass
class Progress:
    """How far an epoch is; of an accumulated step all batches or none.

    Args:
        batch: How many of its batches are done.
        images: Their images.
        loss: float32 (), the sum of the losses of these in nats.
        correct: float32 (), how many of them were classified rightly.
        said: Sum of losses and number of images at the last line of ``--log-every``.
    """

    batch: int
    images: float | Tensor
    loss: Tensor
    correct: Tensor
    said: tuple[float, float] = (0.0, 0.0)

    @classmethod
    def begun(cls, device: torch.device) -> Progress:
        """Of an epoch that begins."""
        return cls(0, 0, torch.zeros((), device=device), torch.zeros((), device=device))

    @property
    def sound(self) -> bool:
        """Whether all losses so far are finite, so that there is something to go on from; a GPU is waited for."""
        return math.isfinite(float(self.loss))

    def part(self) -> Part:
        """For the state of the run."""
        return dict(vars(self))

    @classmethod
    def restored(cls, part: Part, device: torch.device, total: int) -> Progress:
        """What :meth:`part` gave.

        Args:
            part: Strangers may have written it.
            device: Of the training.
            total: Batches of the epoch.

        Raises:
            ValueError: if that is not how far such an epoch can be.
        """
        values: Any = {name: v.to(device) if isinstance(v, Tensor) else v for name, v in part.items()}
        far = cls(**{**values, "said": tuple(map(float, values["said"]))})
        if type(far.batch) is not int or not 0 <= far.batch <= total:
            raise ValueError(f"batch {far.batch!r:.20} of {total}")
        if not (far.sound and math.isfinite(far.images) and len(far.said) == 2):
            raise ValueError("the loss of an epoch under way is not finite")
        return far
