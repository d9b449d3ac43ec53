"""Parts of the jobs that executors are tried on; importable, since an executor may pickle them for other processes."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from clsbench.errors import DataError, ModelError
from clsbench.inference import onnxruntime_backend
from clsbench.inference.backend import Backend, DeviceInfo


@dataclass(frozen=True)
class CountedEntry:
    """An image in memory; a byte is appended to a file for each time that it is read, in whatever process.

    Args:
        name: See :class:`clsbench.Entry`.
        data: The encoded image.
        log: The file.
    """

    name: str
    data: bytes
    log: str

    def read(self) -> bytes:
        """The image."""
        with open(self.log, "ab") as file:
            file.write(b".")
        return self.data


@dataclass(frozen=True)
class UnreadableEntry:
    """An image whose place has gone; ``odd`` makes that a plain exception rather than a typed one."""

    name: str
    odd: bool = False

    def read(self) -> bytes:
        """Nothing.

        Raises:
            DataError: always, or RuntimeError.
        """
        raise RuntimeError("the shelf has fallen") if self.odd else DataError("the shelf is empty")


class FailingBackend(Backend):
    """Opens, and fails when it is called."""

    device, streams, batch_size = DeviceInfo(device="cpu", provider="none"), 1, 4

    def __call__(self, images: NDArray[np.uint8]) -> NDArray[np.float32]:
        """Nothing.

        Raises:
            ModelError: always.
        """
        raise ModelError("the model has burnt out")

    def close(self) -> None:
        """Nothing to free."""


def open_failing(model_path: Path, device: str) -> FailingBackend:
    """Build the backend that fails."""
    return FailingBackend()


def open_backend(model_path: Path, device: str) -> Backend:
    """The built-in backend in one thread."""
    opened: Backend = onnxruntime_backend.build(model_path, device, streams=1, threads=1)
    return opened
