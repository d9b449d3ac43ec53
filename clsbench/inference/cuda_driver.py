"""The NVIDIA driver, asked directly: its version, its GPUs, how threads wait for them, and page-locked memory.

Source: CUDA driver API, cuda.h of CUDA 13. What that header maps to a name with ``_v2`` is called by that name here:
the old one is another function.
"""

from __future__ import annotations

import ctypes
import math
import re
import weakref
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from functools import partial
from importlib.metadata import distributions
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

#: CUresult of a driver without a device.
NO_DEVICE = 100

#: CUresult of cuInit -> what it means, and what helps.
TROUBLES = {
    34: ("libcuda.so.1 is the CUDA toolkit's stub, not a driver", "take the stub out of the loader's path"),
    NO_DEVICE: ("the NVIDIA driver shows no device", "check nvidia-smi and CUDA_VISIBLE_DEVICES"),
    802: ("the GPUs are not ready", "start nvidia-fabricmanager, or wait for it"),
    803: ("the driver's library and kernel module are of different versions", "reboot, or reload the kernel module"),
    804: (
        "CUDA's forward compatibility does not support this GPU",
        "take the cuda-compat folder out of the loader's path, or update the NVIDIA driver",
    ),
}  # fmt: skip

#: Distributions that hold what ONNX Runtime's GPU providers compute with.
PROVIDER_PACKAGES = re.compile(r"nvidia-(cudnn|cublas)(-cu\d+)?|tensorrt(-cu\d+)?|onnxruntime-gpu")

#: From cuda.h: CU_CTX_SCHED_BLOCKING_SYNC, CU_CTX_SCHED_MASK, CU_MEMHOSTALLOC_PORTABLE,
#: CU_DEVICE_ATTRIBUTE_COMPUTE_CAPABILITY_MAJOR.
BLOCKING_SYNC, SCHEDULING, PORTABLE, CAPABILITY_MAJOR = 0x04, 0x07, 0x01, 75


@dataclass(frozen=True)
class Gpu:
    """What the driver says of a device.

    Args:
        name: ``NVIDIA H100 80GB HBM3``.
        capability: Major compute capability; TF32 begins with 8.
    """

    name: str
    capability: int


@dataclass(frozen=True)
class Driver:
    """What the driver says of itself.

    Args:
        cuda: The newest CUDA it supports, (major, minor).
        gpus: Its devices.
        error: What ``cuInit`` returned; 0 where it works.
        error_name: The same as a name.
    """

    cuda: tuple[int, int]
    gpus: tuple[Gpu, ...] = ()
    error: int = 0
    error_name: str = ""

    @property
    def trouble(self) -> tuple[str, str] | None:
        """Why it cannot be used, and what helps; None where it can."""
        error = self.error or (0 if self.gpus else NO_DEVICE)
        unknown = (f"the NVIDIA driver does not start: {self.error_name or 'error'} ({error})", "check nvidia-smi")
        return TROUBLES.get(error, unknown) if error else None

    @property
    def version(self) -> str:
        """The newest CUDA it supports, as text."""
        return f"{self.cuda[0]}.{self.cuda[1]}"


def find_driver() -> Driver | None:
    """The driver of this machine; None where there is none."""
    library = _library()
    if library is None:
        return None
    version = ctypes.c_int(0)
    library.cuDriverGetVersion(ctypes.byref(version))  # 1000 * major + 10 * minor; works before cuInit
    cuda = (version.value // 1000, version.value % 1000 // 10)
    if error := library.cuInit(0):
        return Driver(cuda, error=error, error_name=_error_name(library, error))
    count = ctypes.c_int(0)
    if error := library.cuDeviceGetCount(ctypes.byref(count)):
        return Driver(cuda, error=error, error_name=_error_name(library, error))
    return Driver(cuda, tuple(_gpu(library, index) for index in range(count.value)))


def gpu_versions() -> dict[str, str]:
    """What GPUs are here, and the versions of what drives them: a measurement holds for these only."""
    driver = find_driver()
    if driver is None or not driver.gpus:
        return {}
    found = {"gpus": ", ".join(gpu.name for gpu in driver.gpus), "driver": _kernel_driver(), "cuda": driver.version}
    packages = {
        distribution.metadata["Name"]: distribution.version
        for distribution in distributions()
        if PROVIDER_PACKAGES.fullmatch(distribution.metadata["Name"] or "")
    }
    return {name: text for name, text in {**found, **dict(sorted(packages.items()))}.items() if text}


def _kernel_driver(file: Path = Path("/sys/module/nvidia/version")) -> str:
    """The version of the kernel module, such as 580.82.07; empty where the system does not tell."""
    with suppress(OSError):
        return file.read_text(encoding="utf-8").strip()
    return ""


def wait_asleep(index: int) -> None:
    """Let threads that wait for a GPU sleep; they keep a core busy by default. Before the first session on it.

    Source: ``cuDevicePrimaryCtxSetFlags``. ONNX Runtime and torch use the primary context, and leave its flags.
    """
    library = _library()
    device = None if library is None else _device(library, index)
    if library is None or device is None:
        return
    flags, active = ctypes.c_uint(0), ctypes.c_int(0)
    library.cuDevicePrimaryCtxGetState(device, ctypes.byref(flags), ctypes.byref(active))
    library.cuDevicePrimaryCtxSetFlags_v2(device, flags.value & ~SCHEDULING | BLOCKING_SYNC)


def free_memory(index: int) -> tuple[int, int] | None:
    """Bytes of a GPU that are free, and all of them; None where the driver does not say."""
    library = _library()
    device = None if library is None else _device(library, index)
    if library is None or device is None:
        return None
    free, total = ctypes.c_size_t(0), ctypes.c_size_t(0)
    with _current(library, device) as usable:
        failed = not usable or library.cuMemGetInfo_v2(ctypes.byref(free), ctypes.byref(total))
    return None if failed else (free.value, total.value)


def pinned(shape: tuple[int, ...], index: int) -> NDArray[np.uint8] | None:
    """Page-locked memory, uint8 zeros, from which every GPU copies at full speed; None where CUDA gives none.

    Freed when the last view of it is gone.

    Args:
        shape: Of the array.
        index: Of the GPU whose context allocates it. ``cuMemHostAlloc`` needs a context that is current on the calling
            thread, and a context that is destroyed takes its memory with it: so the primary one is retained until then.
    """
    library, size = _library(), math.prod(shape)
    device = None if library is None else _device(library, index)
    if library is None or device is None or size == 0:
        return None
    pointer = ctypes.c_void_p()
    with _current(library, device) as usable:
        if not usable or library.cuMemHostAlloc(ctypes.byref(pointer), ctypes.c_size_t(size), PORTABLE):
            return None
        library.cuDevicePrimaryCtxRetain(ctypes.byref(ctypes.c_void_p()), device)
    block = (ctypes.c_uint8 * size).from_address(pointer.value or 0)
    weakref.finalize(block, partial(_free, library, device, pointer)).atexit = False  # the process ends by itself
    memory = np.ctypeslib.as_array(block).reshape(shape)
    memory[:] = 0
    return memory


def _free(library: Any, device: int, pointer: ctypes.c_void_p) -> None:
    with _current(library, device):
        library.cuMemFreeHost(pointer)
    library.cuDevicePrimaryCtxRelease_v2(device)


@contextmanager
def _current(library: Any, device: int) -> Iterator[bool]:
    """The primary context of a GPU on this thread, and whether that worked; the one before it comes back afterwards."""
    context = ctypes.c_void_p()
    if library.cuDevicePrimaryCtxRetain(ctypes.byref(context), device):
        yield False
        return
    try:
        if library.cuCtxPushCurrent_v2(context):
            yield False
            return
        try:
            yield True
        finally:
            library.cuCtxPopCurrent_v2(ctypes.byref(ctypes.c_void_p()))
    finally:
        library.cuDevicePrimaryCtxRelease_v2(device)


def _library() -> Any:
    """The driver's library, or None."""
    try:
        return ctypes.CDLL("libcuda.so.1")
    except OSError:
        return None


def _device(library: Any, index: int) -> int | None:
    """The handle of a GPU, or None."""
    device = ctypes.c_int(0)
    failed = library.cuInit(0) or library.cuDeviceGet(ctypes.byref(device), index)
    return None if failed else device.value


def _gpu(library: Any, index: int) -> Gpu:
    name, capability = ctypes.create_string_buffer(256), ctypes.c_int(0)
    device = _device(library, index)
    if device is not None:
        library.cuDeviceGetName(name, len(name), device)
        library.cuDeviceGetAttribute(ctypes.byref(capability), CAPABILITY_MAJOR, device)
    return Gpu(name.value.decode(errors="replace") or "GPU", capability.value)


def _error_name(library: Any, error: int) -> str:
    """``CUDA_ERROR_UNKNOWN`` for 999."""
    text = ctypes.c_char_p()
    library.cuGetErrorName(error, ctypes.byref(text))
    return (text.value or b"").decode(errors="replace")
