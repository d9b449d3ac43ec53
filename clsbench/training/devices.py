"""The device a training runs on: the one asked for, or an error."""

from __future__ import annotations

import torch

from clsbench.errors import DeviceError, OptionError


def choose_device(asked: str) -> str:
    """``cpu`` or ``cuda``; ``auto`` takes CUDA where torch can use it.

    Raises:
        OptionError: for another name.
        DeviceError: if CUDA is asked for and torch cannot use it.
    """
    if asked not in ("auto", "cpu", "cuda"):
        raise OptionError("unknown device", where="--device", got=asked, expected="auto, cpu, cuda")
    usable = torch.cuda.is_available()
    if asked == "cuda" and not usable:
        built = torch.version.cuda
        raise DeviceError(
            "torch cannot use CUDA here",
            where="--device cuda",
            got=f"torch {torch.__version__}, " + (f"built for CUDA {built}" if built else "built without CUDA"),
            hint="check nvidia-smi and the driver's version, or use --device cpu",
        )
    return "cuda" if usable and asked != "cpu" else "cpu"
