"""Observer: hears how a task goes. The default one logs; the command line's shows progress."""

from __future__ import annotations

import logging
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from clsbench.adopting.decisions import Decision
    from clsbench.datasets.data_check import DataCheck
    from clsbench.models.loading import LoadReport
    from clsbench.training.epochs import Epoch
    from clsbench.training.plan import Plan
    from clsbench.training.progress import BatchLoss
    from clsbench.training.stopwatch import TrainingPace

_log = logging.getLogger("clsbench")


class Observer:
    """What a task reports while it runs. Override what you want to hear.

    Notes and warnings go to the logger ``clsbench`` (levels INFO and WARNING); the rest is dropped.
    """

    #: Files that the caller writes when the task is done, by their options: the task refuses to read them.
    outputs: Sequence[tuple[str, Path]] = ()

    def note(self, text: str) -> None:
        """Something was assumed or done that the user should be able to read."""
        _log.info(text)

    def warn(self, text: str) -> None:
        """Something the user must not miss."""
        _log.warning(text)

    def stage(self, name: str, total: int | None = None) -> None:
        """Something long begins: ``total`` images, batches or steps; None where that is not known."""

    def advance(self, count: int, errors: int = 0) -> None:
        """So many of them are done; ``errors`` of these failed."""

    def recognised(self, file: Path, decisions: Sequence[Decision]) -> None:
        """Adopting: what the file is, and on whose word."""
        self.note(f"recognised: {file}")
        for each in decisions:
            self.note(f"  {each.field}: {each.text} ({each.how}: {each.origin})")

    def planned(self, plan: Plan) -> None:
        """Training: everything is decided, and no image is read yet."""
        self.note(plan.title)
        for name, text in plan.facts:
            self.note(f"  {name}: {text}")

    def loaded(self, report: LoadReport, recipe: str) -> None:
        """Training: the network has weights from a file, and goes on by this recipe."""
        (self.note if report.complete else self.warn)(f"weights: {report}")
        if report.run:
            self.note(f"  recipe {recipe}; that run's was {report.run_recipe}")

    def checked(self, check: DataCheck) -> None:
        """Training: the images have been read, and what is wrong with them is known."""
        for finding in check.findings:
            self.warn(finding.message)

    def loss(self, epoch: int, loss: float) -> None:
        """Training, now and then: the epoch from 1, and its mean loss so far in nats."""

    def pace(self, result: TrainingPace) -> None:
        """Training, now and then: images/s, the share of waiting for images, and the time left."""

    def batch(self, result: BatchLoss) -> None:
        """Training: another ``log_every`` batches are done."""

    def epoch(self, result: Epoch) -> None:
        """Training: an epoch has ended."""


class SilentObserver(Observer):
    """Hears nothing: for a step whose notes would mislead, such as missing labels where none are needed."""

    def note(self, text: str) -> None:
        """Nothing."""

    def warn(self, text: str) -> None:
        """Nothing."""
