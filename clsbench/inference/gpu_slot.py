"""One batch in flight on a GPU: what goes in and out, and what it means where memory runs out."""

from __future__ import annotations

import re
from functools import partial
from typing import Any

import numpy as np
from numpy.typing import NDArray

from clsbench.card import INPUT_NAME
from clsbench.errors import DeviceMemoryError
from clsbench.inference.cuda_driver import free_memory, pinned
from clsbench.inference.interrupts import Calls
from clsbench.text import counted, file_size

#: What ONNX Runtime (bfc_arena.cc), CUDA, cuDNN, cuBLAS and TensorRT say when the GPU's memory is used up.
USED_UP = re.compile(r"out of memory|OutOfMemory|Failed to allocate memory|smaller than requested bytes|_ALLOC_FAILED")


class GpuSlot:
    """Runs batches of one size.

    A batch is copied to the GPU inside of ``run``, which has released Python's lock by then
    (onnxruntime_pybind_state.cc). ``OrtValue.update_inplace`` and ``IOBinding.bind_input`` copy at once, and hold the
    lock meanwhile, so that no other thread decodes (onnxruntime_pybind_ortvalue.cc; IOBinding.cc, where ``BindInput``
    calls ``CopyOneInputAcrossDevices``).

    Args:
        session: On a CUDA or TensorRT provider.
        kind: ``cuda`` or ``tensorrt``.
        index: Of its GPU.
        batch_size: N of every call; smaller batches are padded.
        streams: How many such calls are under way at once.
    """

    def __init__(self, session: Any, kind: str, index: int, batch_size: int, streams: int = 1) -> None:
        self._session, self._kind, self._index = session, kind, index
        self._batch_size, self._streams = batch_size, streams
        self._padded: NDArray[np.uint8] | None = None

    def run(self, images: NDArray[np.uint8], calls: Calls, outputs: tuple[str, ...]) -> list[NDArray[np.float32]]:
        """uint8 (n, h, w, 3), n up to the batch size -> these outputs, float32 (n, …); ``calls`` can end it.

        Raises:
            DeviceMemoryError: if the GPU has not enough memory; says what would fit.
        """
        count = len(images)
        if count < self._batch_size:
            images = self._pad(images)
        try:
            found = self._call(images, calls, outputs)
        except Exception as error:
            if not is_used_up(error):
                raise
            raise self._shortage(error, images, calls, outputs) from error
        return [values[:count] for values in found]

    def _call(self, images: NDArray[np.uint8], calls: Calls, outputs: tuple[str, ...]) -> list[NDArray[np.float32]]:
        found: list[NDArray[np.float32]] = calls.run(partial(self._session.run, list(outputs), {INPUT_NAME: images}))
        return found

    def _pad(self, images: NDArray[np.uint8]) -> NDArray[np.uint8]:
        """A whole batch: another size would cost another search for algorithms, and TensorRT another engine."""
        if self._padded is None:
            shape = (self._batch_size, *images.shape[1:])
            memory = pinned(shape, self._index)
            self._padded = np.zeros(shape, np.uint8) if memory is None else memory
        self._padded[: len(images)] = images
        return self._padded

    def _shortage(
        self, error: Exception, images: NDArray[np.uint8], calls: Calls, outputs: tuple[str, ...]
    ) -> DeviceMemoryError:
        fits = None if self._kind == "tensorrt" else self._fitting(images, calls, outputs)
        if fits:
            hint = f"--batch-size {fits}, which fits"
        elif len(images) > 1:
            hint = f"a smaller --batch-size, such as {max(1, len(images) // 4)}, or --with backend.streams=1"
        else:
            hint = "nvidia-smi shows what else uses the GPU; another --device, or a smaller network"
        batch = f"{counted(len(images), 'image')} a batch, {counted(self._streams, 'batch', 'batches')} at once"
        return shortage(error, f"{self._kind}:{self._index}", self._index, batch, hint)

    def _fitting(self, images: NDArray[np.uint8], calls: Calls, outputs: tuple[str, ...]) -> int | None:
        """The first of a half, a quarter, … of the images that the GPU has memory for; None if there is none."""
        size = len(images) // 2
        while size:
            try:
                self._call(images[:size], calls, outputs)
            except Exception as error:  # noqa: BLE001  it is the first one that counts
                if not is_used_up(error):
                    return None
                size //= 2
            else:
                return size
        return None


def is_used_up(error: Exception) -> bool:
    """Whether a call failed since the GPU's memory is used up."""
    return USED_UP.search(str(error)) is not None


def shortage(error: Exception, device: str, index: int, what: str, hint: str) -> DeviceMemoryError:
    """What to say where memory is used up.

    Args:
        error: As ONNX Runtime raised it.
        device: ``cuda:0``.
        index: Of the GPU.
        what: What did not fit.
        hint: What would.
    """
    memory = free_memory(index)
    free = f"; {file_size(memory[0])} of its {file_size(memory[1])} are free" if memory else ""
    return DeviceMemoryError(
        "the GPU has not enough memory", where=f"--device {device}", got=f"{what}{free}", hint=hint
    )
