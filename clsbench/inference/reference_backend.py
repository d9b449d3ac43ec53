"""The ``onnx-reference`` backend: ONNX's own evaluator in numpy. Slow; an oracle."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from clsbench.card import INPUT_NAME, OUTPUT_NAME
from clsbench.errors import DeviceError
from clsbench.inference.backend import Backend, read_card


class ReferenceBackend(Backend):
    """An independent implementation of every operator; see :class:`clsbench.inference.backend.Backend`."""

    streams, batch_size = 1, 1

    def __init__(self, file: Path) -> None:
        import onnx
        from onnx.reference import ReferenceEvaluator

        read_card(file)
        self.device: dict[str, Any] = {"requested": "cpu", "device": "cpu", "provider": "onnx.reference"}
        self._evaluator = ReferenceEvaluator(onnx.load(file))

    def __call__(self, images: NDArray[np.uint8]) -> NDArray[np.float32]:
        """uint8 (N, h, w, 3) -> logits float32 (N, K)."""
        results: Any = self._evaluator.run([OUTPUT_NAME], {INPUT_NAME: images})
        return np.asarray(results[0], np.float32)

    def close(self) -> None:
        """Nothing to free."""


def build(model_path: Path, device: str = "auto") -> ReferenceBackend:
    """Open a model file in the reference evaluator.

    Raises:
        DeviceError: if another device than the CPU is asked for.
        ModelError: if the file cannot be used.
    """
    if device not in ("auto", "cpu"):
        raise DeviceError("the reference evaluator runs on the CPU only", got=device, expected="cpu")
    return ReferenceBackend(model_path)
