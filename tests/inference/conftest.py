"""A CUDA driver for machines without one."""

from __future__ import annotations

import ctypes
import threading

import numpy as np
import pytest

SUCCESS, OUT_OF_MEMORY, INVALID_DEVICE, INVALID_CONTEXT = 0, 2, 101, 201


class FakeCuda:
    """libcuda.so.1 as cuda.h of CUDA 13 describes it.

    A thread has a stack of contexts. The primary context of a device is counted; without a holder it is destroyed, and
    so is its memory. ``cuMemHostAlloc``, ``cuMemFreeHost`` and ``cuMemGetInfo`` need a current context.
    """

    def __init__(self, *, version=13000, names=("NVIDIA H100",), init=SUCCESS, capability=9, memory=1 << 20):
        self.version, self.names, self.init, self.capability, self.memory = version, names, init, capability, memory
        self.holders = dict.fromkeys(range(len(names)), 0)
        self.flags = dict.fromkeys(range(len(names)), 0x10)
        self.blocks: dict[int, tuple[int, np.ndarray]] = {}
        self._thread = threading.local()

    def _stack(self):
        return self._thread.__dict__.setdefault("stack", [])

    def cuDriverGetVersion(self, version):
        version._obj.value = self.version
        return SUCCESS

    def cuInit(self, flags):
        return self.init

    def cuGetErrorName(self, error, text):
        text._obj.value = f"CUDA_ERROR_{error}".encode()
        return SUCCESS

    def cuDeviceGetCount(self, count):
        count._obj.value = len(self.names)
        return SUCCESS

    def cuDeviceGet(self, device, ordinal):
        device._obj.value = ordinal
        return SUCCESS if ordinal < len(self.names) else INVALID_DEVICE

    def cuDeviceGetName(self, name, length, device):
        name.value = self.names[device].encode()
        return SUCCESS

    def cuDeviceGetAttribute(self, value, attribute, device):
        value._obj.value = {75: self.capability}[attribute]
        return SUCCESS

    def cuDevicePrimaryCtxGetState(self, device, flags, active):
        flags._obj.value, active._obj.value = self.flags[device], self.holders[device] > 0
        return SUCCESS

    def cuDevicePrimaryCtxSetFlags_v2(self, device, flags):
        self.flags[device] = flags
        return SUCCESS

    def cuDevicePrimaryCtxRetain(self, context, device):
        self.holders[device] += 1
        context._obj.value = 1000 + device
        return SUCCESS

    def cuDevicePrimaryCtxRelease_v2(self, device):
        self.holders[device] -= 1
        if self.holders[device] == 0:
            self.blocks = {at: block for at, block in self.blocks.items() if block[0] != device}
        return SUCCESS if self.holders[device] >= 0 else INVALID_CONTEXT

    def cuCtxPushCurrent_v2(self, context):
        self._stack().append(context.value - 1000)
        return SUCCESS

    def cuCtxPopCurrent_v2(self, context):
        self._stack().pop()
        return SUCCESS

    def cuMemHostAlloc(self, pointer, size, flags):
        if not self._stack():
            return INVALID_CONTEXT
        if size.value > self.memory:
            return OUT_OF_MEMORY
        assert flags == 1, "portable"
        block = np.full(size.value, 255, np.uint8)
        pointer._obj.value = block.ctypes.data
        self.blocks[block.ctypes.data] = (self._stack()[-1], block)
        return SUCCESS

    def cuMemFreeHost(self, pointer):
        if not self._stack():
            return INVALID_CONTEXT
        del self.blocks[pointer.value]
        return SUCCESS

    def cuMemGetInfo_v2(self, free, total):
        if not self._stack():
            return INVALID_CONTEXT
        free._obj.value, total._obj.value = 3 * 10**9, 80 * 10**9
        return SUCCESS


@pytest.fixture
def cuda(monkeypatch):
    """cuda(…): install a fake driver, which is returned; cuda(None): take the driver away."""
    load = ctypes.CDLL

    def install(driver=..., **facts):
        fake = FakeCuda(**facts) if driver is ... else driver

        def find(name, *args, **kwargs):
            if name != "libcuda.so.1":
                return load(name, *args, **kwargs)
            if fake is None:
                raise OSError("libcuda.so.1: cannot open shared object file: No such file or directory")
            return fake

        monkeypatch.setattr(ctypes, "CDLL", find)
        return fake

    return install
