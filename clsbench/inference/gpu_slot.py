"""One batch in flight on a GPU: device memory bound to a session's input and outputs."""

from __future__ import annotations

import ctypes
import math
import weakref
from functools import partial
from typing import Any

import numpy as np
from numpy.typing import NDArray

from clsbench.card import INPUT_NAME
from clsbench.inference.interrupts import Calls


class GpuSlot:
    """Buffers and bindings for one batch of fixed size.

    Args:
        session: On a CUDA or TensorRT provider.
        index: Of its GPU.
        batch_size: N of every call; smaller batches are padded.
    """

    def __init__(self, session: Any, index: int, batch_size: int) -> None:
        self._session, self._index, self._batch_size = session, index, batch_size
        #: By the outputs that are bound: what is not asked for is not copied.
        self._bindings: dict[tuple[str, ...], Any] = {}
        self._input: Any = None
        self._padded: NDArray[np.uint8] | None = None

    def run(self, images: NDArray[np.uint8], calls: Calls, outputs: tuple[str, ...]) -> list[NDArray[np.float32]]:
        """uint8 (n, h, w, 3), n up to the batch size -> these outputs, float32 (n, …); ``calls`` can end it."""
        count = len(images)
        if count < self._batch_size:
            if self._padded is None:
                self._padded = np.zeros((self._batch_size, *images.shape[1:]), np.uint8)
            self._padded[:count] = images
            images = self._padded
        binding = self._bound(images, outputs)
        calls.run(partial(self._session.run_with_iobinding, binding))
        return [values[:count] for values in binding.copy_outputs_to_cpu()]

    def _bound(self, images: NDArray[np.uint8], outputs: tuple[str, ...]) -> Any:
        """The binding of these outputs, with the images in its input."""
        import onnxruntime as ort

        if self._input is None:
            self._input = ort.OrtValue.ortvalue_from_numpy(images, "cuda", self._index)
        else:
            self._input.update_inplace(images)
        if outputs not in self._bindings:
            binding = self._bindings[outputs] = self._session.io_binding()
            binding.bind_ortvalue_input(INPUT_NAME, self._input)
            for name in outputs:
                binding.bind_output(name, "cuda", self._index)
        return self._bindings[outputs]


def pinned(shape: tuple[int, ...]) -> NDArray[np.uint8]:
    """Page-locked memory, uint8 zeros; ordinary memory where CUDA gives none.

    Source: CUDA driver API, ``cuMemHostAlloc`` and ``cuMemFreeHost``, called when the last
    view of the memory is gone.
    """
    size = math.prod(shape)
    pointer = ctypes.c_void_p()
    try:
        driver = ctypes.CDLL("libcuda.so.1")
        portable = 1  # usable from every context, so from every GPU
        failed = driver.cuMemHostAlloc(ctypes.byref(pointer), ctypes.c_size_t(size), portable)
    except OSError:
        failed = 1
    if failed or not pointer.value:
        return np.zeros(shape, np.uint8)
    block = (ctypes.c_uint8 * size).from_address(pointer.value)
    weakref.finalize(block, driver.cuMemFreeHost, pointer)
    memory = np.ctypeslib.as_array(block).reshape(shape)
    memory[:] = 0
    return memory
