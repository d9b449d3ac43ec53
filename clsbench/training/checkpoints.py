"""Checkpoints: the best and the last weights of a run, as safetensors."""

from __future__ import annotations

import os
import re
import time
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING

from safetensors import SafetensorError
from safetensors.torch import save_file
from torch import Tensor

from clsbench.output_files import whole_file
from clsbench.runs import Run

if TYPE_CHECKING:
    from clsbench.training.loop import Epoch

#: Seconds between writes: epochs on cached features are shorter than a write.
INTERVAL = 10.0


class Checkpoints:
    """Remembers the best weights at once, and writes every few seconds.

    Args:
        run: Where to write.
        writes: Whether to write at all: of several processes the first does.
    """

    def __init__(self, run: Run, *, writes: bool = True) -> None:
        self._run, self._written, self._writes = run, float("-inf"), writes
        # One value, so that no interrupt comes between an epoch and its weights.
        self._best: tuple[Epoch, dict[str, Tensor]] | None = None
        self._best_written: Epoch | None = None

    def keep(self, epoch: Epoch, state: Mapping[str, Tensor]) -> None:
        """Take the weights of an epoch as the best."""
        self._best = epoch, {name: tensor.detach().cpu().clone() for name, tensor in state.items()}

    @property
    def due(self) -> bool:
        """Whether it is time to write again."""
        return time.monotonic() - self._written > INTERVAL

    def write(self, state: Mapping[str, Tensor]) -> None:
        """Write the last weights, and the best where they are new."""
        if self._writes:
            _save(state, self._run.last)
        self.write_best()
        self._written = time.monotonic()

    def write_best(self) -> None:
        """Write the best weights where they are new."""
        if self._best and self._best[0] is not self._best_written:
            epoch, state = self._best
            if self._writes:
                _save(state, self._run.best)
            self._best_written = epoch

    @property
    def best_epoch(self) -> Epoch | None:
        """The epoch whose weights are the best so far."""
        return self._best[0] if self._best else None

    @property
    def best(self) -> dict[str, Tensor]:
        """The best weights so far, on the CPU."""
        return self._best[1] if self._best else {}


def _save(state: Mapping[str, Tensor], file: Path) -> None:
    """Write weights whole or not at all.

    Raises:
        DataError: if they cannot be written, for example because the disk is full.
    """
    with whole_file(file, "the weights") as unfinished:
        try:
            save_file({name: tensor.detach().cpu().contiguous() for name, tensor in state.items()}, unfinished)
        except SafetensorError as error:
            raise _of_the_system(error) from None


def _of_the_system(error: SafetensorError) -> OSError:
    """The error of the system that safetensors tells of: ``… No space left on device (os error 28)``."""
    found = re.search(r"\(os error (\d+)\)", str(error))
    return OSError(int(found[1]), os.strerror(int(found[1]))) if found else OSError(str(error))
