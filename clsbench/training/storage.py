"""Where images and features wait between epochs: in memory, or memory-mapped on disk."""

from __future__ import annotations

import math
import shutil
import tempfile
from pathlib import Path
from typing import Literal

import numpy as np
from numpy.typing import DTypeLike, NDArray

from clsbench.errors import OptionError
from clsbench.machine import available_memory
from clsbench.training.config import Cache

#: The part of the free memory, and of the free disk, that ``auto`` takes at most.
RAM_SHARE, DISK_SHARE = 0.4, 0.5


def choose_storage(size: int, asked: Cache, folder: Path) -> Literal["ram", "disk", "off"]:
    """Decide where ``size`` bytes are to be kept.

    Args:
        size: Bytes.
        asked: ``auto`` takes memory if there is plenty, then disk, then nothing.
        folder: On the disk in question.

    Raises:
        OptionError: if what was asked for does not fit.
    """
    memory, disk = available_memory(), shutil.disk_usage(folder).free
    if asked == "auto":
        return "ram" if size <= RAM_SHARE * memory else "disk" if size <= DISK_SHARE * disk else "off"
    room = {"ram": memory, "disk": disk}.get(asked)
    if room is not None and size > room:
        raise OptionError(
            "decoded images or features do not fit",
            where=f"--cache {asked}",
            got=f"{size / 1e9:.1f} GB are needed",
            expected=f"at most {room / 1e9:.1f} GB",
            hint="--cache auto chooses what fits",
        )
    return asked


def allocate(
    shape: tuple[int, ...], dtype: DTypeLike, place: Literal["ram", "disk"], folder: Path
) -> NDArray[np.generic]:
    """An array in memory, or in an unnamed file below ``folder`` that the system removes with the process."""
    if place == "ram" or not math.prod(shape):
        return np.empty(shape, dtype)
    with tempfile.TemporaryFile(dir=folder) as file:  # the mapping outlives the open file
        return np.memmap(file, dtype, "w+", shape=shape)
