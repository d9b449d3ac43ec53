"""Device truth: whether a device can be used, told before a session is made.

``onnxruntime.get_available_providers()`` lists what was compiled, not what loads, and a
session asked for CUDA without it runs on the CPU; so the driver itself is asked.
"""

from __future__ import annotations

import ctypes
from dataclasses import dataclass


@dataclass(frozen=True)
class Missing:
    """Why a device cannot be used, and what mends it."""

    what: str
    remedy: str


def cuda_device_count() -> int | None:
    """CUDA devices the driver shows; None where there is no driver.

    Source: CUDA driver API, ``cuInit`` and ``cuDeviceGetCount``.
    """
    try:
        driver = ctypes.CDLL("libcuda.so.1")
    except OSError:
        return None
    count = ctypes.c_int(0)
    if driver.cuInit(0) != 0 or driver.cuDeviceGetCount(ctypes.byref(count)) != 0:
        return 0
    return count.value


def missing_for_cuda() -> Missing | None:
    """What keeps ONNX Runtime from using CUDA here; None if nothing is known to."""
    import onnxruntime as ort

    if "CUDAExecutionProvider" not in ort.get_available_providers():
        return Missing(
            "this onnxruntime was built without CUDA",
            "pip uninstall onnxruntime onnxruntime-gpu, then pip install 'clsbench[cuda]'",
        )
    count = cuda_device_count()
    if count is None:
        return Missing("no NVIDIA driver (libcuda.so.1 is not found)", "install the driver, or use --device cpu")
    if count == 0:
        return Missing("the NVIDIA driver shows no device", "check nvidia-smi and CUDA_VISIBLE_DEVICES")
    return None
