"""The random numbers that a process would draw next: torch's, numpy's and Python's global generators.

clsbench itself draws from torch's alone, the rest of its randomness being functions of (seed, epoch); the network of a
plugin may draw from the others.
"""

from __future__ import annotations

import random
from typing import cast

import numpy as np
import torch
from torch import Tensor

from clsbench.training.run_state import Part


def random_state(device: torch.device) -> Part:
    """The states of all generators; of a GPU's as well, where the training runs on one."""
    name, keys, *rest = cast(tuple[object, ...], np.random.get_state(legacy=True))
    version, numbers, gauss = random.getstate()
    part: Part = {
        "torch": torch.get_rng_state(),
        "numpy": [name, cast("np.typing.NDArray[np.uint32]", keys).tolist(), *rest],
        "python": [version, list(numbers), gauss],
    }
    if device.type == "cuda":
        part["cuda"] = torch.cuda.get_rng_state(device)
    return part


def restore_random_state(part: Part, device: torch.device, rank: int = 0) -> None:
    """Let all generators go on where they were.

    Args:
        part: What :func:`random_state` gave in the first process.
        device: Of the training.
        rank: Of this process; any but the first draws new numbers, since no state of theirs is kept.
    """
    torch.set_rng_state(cast(Tensor, part["torch"]))
    name, keys, *rest = cast("list[object]", part["numpy"])
    np.random.set_state((name, np.array(keys, np.uint32), *rest))  # type: ignore[arg-type]
    version, numbers, gauss = cast("tuple[object, list[int], object]", part["python"])
    random.setstate((version, tuple(numbers), gauss))
    if device.type == "cuda" and "cuda" in part:
        torch.cuda.set_rng_state(cast(Tensor, part["cuda"]), device)
    if rank:
        torch.manual_seed(rank + int(torch.randint(1 << 62, ())))
