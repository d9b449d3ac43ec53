"""The ``onnx-reference`` backend: ONNX's own evaluator in numpy. Slow; an oracle."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from clsbench.card import FEATURES_NAME, INPUT_NAME, OUTPUT_NAME
from clsbench.errors import DeviceError
from clsbench.inference.backend import DeviceInfo, FeatureBackend
from clsbench.model_file import Tensors, check_contract, read_card


class ReferenceBackend(FeatureBackend):
    """An independent implementation of every operator; see :class:`clsbench.inference.backend.Backend`."""

    streams, batch_size = 1, 1

    def __init__(self, file: Path) -> None:
        import onnx
        from onnx.reference import ReferenceEvaluator

        card, model = read_card(file), onnx.load(file)
        check_contract(_describe(model.graph.input), _describe(model.graph.output), card, file)
        self.device = DeviceInfo(requested="cpu", device="cpu", provider="onnx.reference")
        self._evaluator = ReferenceEvaluator(model)
        self._widths = {OUTPUT_NAME: len(card.classes), FEATURES_NAME: card.feature_dim or 0}

    def __call__(self, images: NDArray[np.uint8]) -> NDArray[np.float32]:
        """uint8 (N, h, w, 3) -> logits float32 (N, K)."""
        return self._run(images, OUTPUT_NAME)[0]

    def with_features(self, images: NDArray[np.uint8]) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
        """The same, and features float32 (N, D), of a file that has them."""
        logits, features = self._run(images, OUTPUT_NAME, FEATURES_NAME)
        return logits, features

    def _run(self, images: NDArray[np.uint8], *outputs: str) -> list[NDArray[np.float32]]:
        if not len(images):  # of which the evaluator cannot work out shapes
            return [np.zeros((0, self._widths[name]), np.float32) for name in outputs]
        results: Any = self._evaluator.run(list(outputs), {INPUT_NAME: images})
        return [np.asarray(result, np.float32) for result in results]

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


def _describe(values: Any) -> Tensors:
    """Name, type and shape as ONNX Runtime puts them."""
    from onnx import TensorProto

    kinds = {TensorProto.FLOAT: "tensor(float)", TensorProto.UINT8: "tensor(uint8)"}
    return [
        (
            value.name,
            kinds.get(value.type.tensor_type.elem_type, "another type"),
            [d.dim_value if d.HasField("dim_value") else d.dim_param for d in value.type.tensor_type.shape.dim],
        )
        for value in values
    ]
