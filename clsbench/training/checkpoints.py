"""Checkpoints: the best and the last weights of a run, as safetensors, and its state to go on from.

The state file is the one truth about a run that is to be resumed. It is written first, so that nothing is ahead of it
for long: a resumed run makes best.safetensors, last.safetensors, log.csv and run.json anew from it.
"""

from __future__ import annotations

import dataclasses
import json
import time
from collections.abc import Mapping
from typing import TYPE_CHECKING

import torch
from torch import Tensor

from clsbench.best_weights import BEST_EPOCH
from clsbench.runs import Run
from clsbench.training.run_state import Part, save_tensors, write_state

if TYPE_CHECKING:
    from clsbench.training.epochs import Epoch

#: Seconds between writes at least: epochs on cached features are shorter than a write.
INTERVAL = 10.0

#: Of the time at most one part in so many is spent on writes.
SHARE = 100

#: The pause before a write within an epoch is so many times longer than that before one at its end.
PATIENCE = 3


class Checkpoints:
    """Remembers the best weights at once, and writes every few seconds.

    Args:
        run: Where to write.
        writes: Whether to write at all: of several processes the first does.
    """

    def __init__(self, run: Run, *, writes: bool = True) -> None:
        self._run, self._writes, self._pause = run, writes, INTERVAL
        self._written, self._state_written = float("-inf"), time.monotonic()
        # One value, so that no interrupt comes between an epoch and its weights.
        self._best: tuple[Epoch, dict[str, Tensor]] | None = None
        self._best_written: Epoch | None = None

    def keep(self, epoch: Epoch, state: Mapping[str, Tensor]) -> None:
        """Take the weights of an epoch as the best."""
        self._best = epoch, {name: tensor.detach().cpu().clone() for name, tensor in state.items()}

    @property
    def due(self) -> bool:
        """Whether it is time to write again, at the end of an epoch."""
        return time.monotonic() - self._written > self._pause

    @property
    def state_due(self) -> bool:
        """Whether it is time to write the state again, within an epoch."""
        return time.monotonic() - self._state_written > PATIENCE * self._pause

    def write(self, state: Mapping[str, Tensor], parts: Mapping[str, Part]) -> None:
        """Write the state of the run, the last weights, and the best where they are new."""
        started = time.monotonic()
        self.write_state(parts)
        if self._writes:
            save_tensors(state, self._run.last, "the weights", {})
        self.write_best()
        self._written = time.monotonic()
        self._pause = max(INTERVAL, SHARE * (self._written - started))

    def write_state(self, parts: Mapping[str, Part]) -> None:
        """Write the state of the run alone, with the best weights."""
        started = time.monotonic()
        if self._writes:
            write_state(self._run.state, {**parts, "best": self._best_part(parts["model"])})
        self._state_written = time.monotonic()
        self._pause = max(self._pause, SHARE * (self._state_written - started))

    def write_best(self) -> None:
        """Write the best weights where they are new, and which epoch's they are."""
        if self._best and self._best[0] is not self._best_written:
            epoch, state = self._best
            said = {BEST_EPOCH: json.dumps(dataclasses.asdict(epoch))}
            if self._writes:
                save_tensors(state, self._run.best, "the weights", said)
            self._best_written = epoch

    def restore(self, history: list[Epoch], parts: Mapping[str, Part]) -> None:
        """Remember the best weights that a state has.

        Raises:
            ValueError: if they are not of the network, or of no epoch.
        """
        part = dict(parts["best"])
        if (number := part.pop("epoch")) is None:
            return
        if type(number) is not int or not 0 < number <= len(history):
            raise ValueError(f"the best epoch is {number!r:.20} of {len(history)}")
        model = {name: tensor for name, tensor in parts["model"].items() if isinstance(tensor, Tensor)}
        other = {name.removeprefix("model."): tensor for name, tensor in part.items()}
        for name, tensor in other.items():
            if name not in model or not isinstance(tensor, Tensor) or tensor.shape != model[name].shape:
                raise ValueError(f"the best weights have another {name!r:.60}")
        self._best = history[number - 1], {**model, **other}  # type: ignore[dict-item]

    @property
    def best_epoch(self) -> Epoch | None:
        """The epoch whose weights are the best so far."""
        return self._best[0] if self._best else None

    @property
    def best(self) -> dict[str, Tensor]:
        """The best weights so far, on the CPU."""
        return self._best[1] if self._best else {}

    def _best_part(self, model: Part) -> Part:
        """The best weights but for those that are the network's now, as a frozen backbone's are."""
        if not self._best:
            return {"epoch": None}
        epoch, state = self._best
        return {
            "epoch": epoch.epoch,
            **{f"model.{name}": value for name, value in state.items() if not _same_bits(value, model.get(name))},
        }


def _same_bits(one: Tensor, other: object) -> bool:
    """Whether two tensors hold the same bytes; of those that differ in -0 or in NaN only, ``torch.equal`` is wrong."""
    if not isinstance(other, Tensor) or one.dtype != other.dtype or one.shape != other.shape:
        return False
    pair = (tensor.detach().cpu().contiguous().reshape(-1).view(torch.uint8) for tensor in (one, other))
    return torch.equal(*pair)
