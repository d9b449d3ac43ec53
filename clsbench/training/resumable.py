"""Resumable: how the state of a run is made of what a trainer knows, and the other way round."""

from __future__ import annotations

import math
import time
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import Any, Literal

import torch

from clsbench.json_fields import read_fields
from clsbench.models.classifier import Classifier
from clsbench.runs import Run
from clsbench.training.checkpoints import Checkpoints
from clsbench.training.epochs import Epoch, write_log
from clsbench.training.processes import Processes
from clsbench.training.progress import Progress
from clsbench.training.random_state import random_state, restore_random_state
from clsbench.training.recipes import Stage
from clsbench.training.run_state import Part, damaged
from clsbench.training.steps import Steps


@dataclass(frozen=True, kw_only=True)
class Done:
    """The part ``run`` of a state: see :class:`~clsbench.training.loop.Trainer`; seconds so far, of run and epoch."""

    stages_done: int
    history: tuple[Epoch, ...]
    alike_from: int
    stopped: str | None
    diverged: bool
    status: Literal["finished", "stopped"]
    elapsed: float
    epoch_seconds: float

    def wrong(self, plan: list[Stage]) -> str | None:
        """What is not as a training with these stages leaves it; None for nothing."""
        names = [stage.name for stage in plan[: self.stages_done + 1]]
        if not 0 <= self.stages_done <= len(plan):
            return f"{self.stages_done:.6g} of {len(plan)} stages are done"
        if [epoch.epoch for epoch in self.history] != list(range(1, len(self.history) + 1)):
            return "the epochs are not numbered from 1"
        if any(epoch.stage not in names for epoch in self.history):
            return "epochs of a stage that has not begun"
        numbers = [self.elapsed, self.epoch_seconds, *(e.val_accuracy for e in self.history)]
        return None if all(map(math.isfinite, numbers)) else "a time or an accuracy is not finite"


class Resumable:
    """What of a trainer is in the state of its run."""

    classifier: Classifier
    run: Run
    processes: Processes
    history: list[Epoch]
    rates: list[tuple[float, float]]
    stopped: str | None
    diverged: bool
    status: Literal["finished", "stopped"]
    stages_done: int
    _steps: Steps | None
    _progress: Progress | None
    _started: float
    _epoch_began: float
    _alike_from: int
    _resumed: Mapping[str, Part] | None
    _checkpoints: Checkpoints
    _plan: list[Stage]

    def parts(self) -> dict[str, Part]:
        """All that the next step, or the next stage, depends on: see :mod:`clsbench.training.run_state`."""
        now = time.perf_counter()
        run: Part = {
            "stages_done": self.stages_done, "history": [asdict(epoch) for epoch in self.history],
            "alike_from": self._alike_from, "stopped": self.stopped, "diverged": self.diverged, "status": self.status,
            "elapsed": now - self._started, "epoch_seconds": now - self._epoch_began,
        }  # fmt: skip
        rates = self.rates + (self._steps.rates if self._steps else [])
        return {
            "run": run,
            "rates": {"rates": torch.tensor(rates, dtype=torch.float64).reshape(-1, 2)},
            "random": random_state(next(self.classifier.parameters()).device),
            "model": dict(self.classifier.state_dict()),
            **(self._steps.parts() if self._steps else {}),
            **({"epoch": self._progress.part()} if self._progress else {}),
        }

    def restore(self, parts: Mapping[str, Part]) -> None:
        """Go on from what :meth:`parts` gave; before the first stage that is still to be trained.

        Raises:
            ModelError: if that is not what a training leaves.
        """
        run = read_fields(Done, parts["run"], what="the state of the run", where=self.run.state)
        if wrong := run.wrong(self._plan):
            raise damaged(self.run.state, wrong)
        self.history = list(run.history)
        self.stages_done, self.stopped, self.diverged = run.stages_done, run.stopped, run.diverged
        self.status, self._started = run.status, self._started - run.elapsed
        self._alike_from = run.alike_from
        rates: Any = parts["rates"]["rates"]
        self.rates = [(position, rate) for position, rate in rates.tolist()]
        self.classifier.load_state_dict(parts["model"])
        self._checkpoints.restore(self.history, parts)
        if self.processes.is_main:
            write_log(self.run.log, self.history)
        if "epoch" in parts:
            self._resumed = parts
        else:
            device = next(self.classifier.parameters()).device
            restore_random_state(parts["random"], device, self.processes.rank)
