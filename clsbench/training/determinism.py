"""``--deterministic``: on a GPU only algorithms that give the same bits each time.

On a CPU a training repeats bit for bit anyway, with the same number of threads.
"""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager

import torch

from clsbench.errors import ModelError

#: What cuBLAS needs to repeat itself; read when it is first used.
WORKSPACE = "CUBLAS_WORKSPACE_CONFIG"


@contextmanager
def deterministic(asked: bool, device: str) -> Iterator[None]:
    """Within, torch computes with deterministic algorithms alone, if that is asked for and the device is a GPU.

    Source: https://pytorch.org/docs/stable/notes/randomness.html

    Raises:
        ModelError: if the network uses an operation that has no such algorithm; names it.
    """
    if not asked or torch.device(device).type != "cuda":
        yield
        return
    os.environ.setdefault(WORKSPACE, ":4096:8")
    before = torch.are_deterministic_algorithms_enabled(), torch.backends.cudnn.benchmark
    torch.use_deterministic_algorithms(True)
    torch.backends.cudnn.benchmark = False
    try:
        yield
    except RuntimeError as error:
        if "deterministic" not in str(error):
            raise
        raise ModelError(
            "the network uses an operation that has no deterministic algorithm on a GPU", where="--deterministic",
            got=str(error).partition(". ")[0], hint="leave the option out, or train on the CPU",
        ) from None  # fmt: skip
    finally:
        torch.use_deterministic_algorithms(before[0])
        torch.backends.cudnn.benchmark = before[1]
