"""The machine a training runs on: its device, how many threads a network is worth, its memory."""

from __future__ import annotations

import contextlib
import ctypes
import sys
from collections.abc import Iterator, Mapping
from contextlib import contextmanager

import torch
from torch import Tensor, nn
from torch.utils.flop_counter import FlopCounterMode

from clsbench.errors import DeviceError, OptionError
from clsbench.machine import available_cores, processes_here
from clsbench.models.classifier import evaluating
from clsbench.text import counted

#: Floating-point operations of a batch's forward pass below which one thread is enough. Handing a
#: small layer to several threads costs more than it saves, and many times more where other
#: programs want the cores. The choice looks at the work alone and not at the clock, so that a
#: run with the same seed gives the same weights.
SMALL = 3e7

#: glibc's names: the size from which memory is mapped anew each time, and the free memory at
#: the top of the heap that is given back (malloc.h).
M_MMAP_THRESHOLD, M_TRIM_THRESHOLD = -3, -1

#: Bytes; above any layer's output on a CPU.
KEPT = 1 << 28


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


def check_count(count: int, device: str) -> None:
    """Refuse more processes on this machine than there are GPUs, or cores.

    Raises:
        DeviceError: if there are too many.
    """
    usable = torch.cuda.device_count() if device == "cuda" else available_cores()
    if count > max(1, usable) and processes_here() == 1:
        what = "GPU" if device == "cuda" else "core"
        most = f"at most {usable}: this process may use {counted(usable, what)}"
        raise DeviceError("there are not so many devices", where="--devices", got=count, expected=most)


def gpu_names() -> list[str]:
    """Of the GPUs that torch can use."""
    return [torch.cuda.get_device_name(number) for number in range(torch.cuda.device_count())]


def put_on(device: torch.device, network: nn.Module) -> None:
    """Move a network to a device; on a GPU with channels-last weights, as images are: cuDNN turns others each time."""
    if device.type == "cuda":
        network.to(device, memory_format=torch.channels_last)  # type: ignore[call-overload]
    else:
        network.to(device)


def take_back(network: nn.Module, state: Mapping[str, Tensor]) -> None:
    """Put a network on the CPU with these weights, all of it able to learn; the opposite of :func:`put_on`."""
    if any(parameter.is_cuda for parameter in network.parameters()):
        network.to(memory_format=torch.contiguous_format)
    network.to("cpu").load_state_dict(state)
    for parameter in network.parameters():
        parameter.requires_grad_(True)


@contextmanager
def fitting_threads(network: nn.Module, example: Tensor, batch_size: int) -> Iterator[None]:
    """Within, torch uses one thread for a small network on the CPU, and all cores otherwise.

    Args:
        network: In any mode; it is left as it was.
        example: Two inputs (2, …).
        batch_size: Inputs a batch.
    """
    before = torch.get_num_threads()
    small = example.device.type == "cpu" and operations(network, example) / 2 * batch_size < SMALL
    torch.set_num_threads(1 if small else available_cores())
    try:
        yield
    finally:
        torch.set_num_threads(before)


def operations(network: nn.Module, example: Tensor) -> int:
    """Floating-point operations of one forward pass: those of matrix products and convolutions."""
    with FlopCounterMode(display=False) as counter, torch.inference_mode(), evaluating(network):
        network(example)
    return int(counter.get_total_flops())


def keep_freed_memory() -> None:
    """Let glibc keep large blocks for the next step, rather than give them back to the system.

    Otherwise every step of a small network maps some megabytes anew, and clearing those pages
    takes a third of its time. Other systems' allocators are left as they are.
    """
    if sys.platform == "linux":
        with contextlib.suppress(OSError, AttributeError):  # musl has no mallopt
            libc = ctypes.CDLL(None)
            libc.mallopt(M_MMAP_THRESHOLD, KEPT)
            libc.mallopt(M_TRIM_THRESHOLD, KEPT)
