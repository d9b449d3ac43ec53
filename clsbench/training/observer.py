"""Observer: what hears how a training goes."""

from __future__ import annotations

from typing import Protocol

from clsbench.datasets.data_check import DataCheck
from clsbench.models.loading import LoadReport
from clsbench.training.epochs import Epoch
from clsbench.training.plan import Plan
from clsbench.training.progress import BatchLoss
from clsbench.training.stopwatch import TrainingPace


class Observer(Protocol):
    """Hears how training goes."""

    def note(self, text: str) -> None:
        """Something was assumed or found out."""

    def warn(self, text: str) -> None:
        """Something that must not be missed."""

    def planned(self, plan: Plan) -> None:
        """The network is built, and everything about the training is decided."""

    def loaded(self, report: LoadReport, recipe: str) -> None:
        """The network has weights from a file, and goes on by this recipe."""

    def checked(self, check: DataCheck) -> None:
        """The images have been read, and what is wrong with them is known."""

    def stage(self, name: str, total: int) -> None:
        """Something long begins: reading images, a stage; ``total`` images or batches."""

    def advance(self, count: int) -> None:
        """So many of them are done."""

    def loss(self, epoch: int, loss: float) -> None:
        """Now and then: the epoch from 1, the running mean loss."""

    def pace(self, result: TrainingPace) -> None:
        """Now and then: how fast it goes, and how long it still takes."""

    def batch(self, result: BatchLoss) -> None:
        """Every ``log_every`` batches."""

    def epoch(self, result: Epoch) -> None:
        """After each epoch."""
