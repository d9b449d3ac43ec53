"""Class activation maps (CAM) of a model file, exact or refused.

Where a network ends in global average pooling and one linear layer, the logit of class k is
``bias_k + mean over x, y of sum_d weight_kd · maps_d(x, y)``: each place of the maps before the pooling
has its own share of the logit. Source: Zhou et al. 2016, arXiv:1512.04150, equations 1 and 2.

The maps become an extra output of a copy of the graph in memory; the weights are the file's own.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from clsbench.card import INPUT_NAME, OUTPUT_NAME, ModelCard
from clsbench.errors import ModelError
from clsbench.inference.sessions import open_session
from clsbench.machine import available_cores

if TYPE_CHECKING:
    import onnx

#: Operators that move or relabel values and compute nothing; exporters put them around the pooling.
PASSING = {"Cast", "Dropout", "Flatten", "Gather", "Identity", "Reshape", "Squeeze", "Unsqueeze"}

#: Largest difference between a logit and what its map says, relative to the largest logit (float32, or TF32 and half).
TOLERANCE = 1e-3


@dataclass(frozen=True)
class _Head:
    """What lies between the maps and the logits.

    Args:
        maps: The tensor that is pooled.
        axes: Its two spatial axes; the others are the batch and the channels.
        weights: float64 (K, D); None where the pooled channels are the logits themselves.
        bias: float64 (K,), or 0.
    """

    maps: str
    axes: tuple[int, ...]
    weights: NDArray[np.float64] | None
    bias: NDArray[np.float64] | float


class ClassActivation:
    """Class activation maps of one file, on the CPU.

    Args:
        file: An .onnx file.
        card: Of it.

    Raises:
        ModelError: if the file does not end in global average pooling and a linear layer, or the maps are not exact.
    """

    def __init__(self, file: Path, card: ModelCard) -> None:
        import onnx

        model = onnx.load(file, load_external_data=False)
        self._file, self._head = file, _head(_Graph(model.graph, file))
        model.graph.output.append(onnx.ValueInfoProto(name=self._head.maps))
        self._session = open_session(model.SerializeToString(), "cpu", threads=available_cores())
        noise = np.random.default_rng(0).integers(0, 256, (*card.transform.size, 3), np.uint8)
        self(noise)

    def __call__(self, pixels: NDArray[np.uint8]) -> tuple[NDArray[np.float32], NDArray[np.float64]]:
        """The maps of all classes for one image.

        Args:
            pixels: uint8 (h, w, 3), the network's input.

        Returns:
            Logits float32 (K,), and maps float64 (K, y, x) in the network's own, coarse resolution. The mean of a
            map plus the bias of its class is the logit.

        Raises:
            ModelError: if that is not so, within :data:`TOLERANCE`.
        """
        logits, maps = self._session.run([OUTPUT_NAME, self._head.maps], {INPUT_NAME: pixels[None]})
        if maps.ndim != 4:
            raise _refused(self._file, f"what is pooled has the shape {maps.shape}")
        channels = np.moveaxis(maps[0].astype(np.float64), [axis - 1 for axis in self._head.axes], [1, 2])
        weights = self._head.weights
        if weights is not None and weights.shape != (logits.shape[1], len(channels)):
            raise _refused(self._file, f"the last layer is {weights.shape}, for {len(channels)} pooled channels")
        classes = channels if weights is None else np.tensordot(weights, channels, axes=1)
        error = np.abs(classes.mean(axis=(1, 2)) + self._head.bias - logits[0]).max()
        if not error <= TOLERANCE * max(1.0, float(np.abs(logits).max())):
            raise _refused(self._file, f"the maps differ from the logits by {error:.2g}")
        return logits[0], classes


class _Graph:
    """Who makes which tensor, and the tensors that are stored."""

    def __init__(self, graph: onnx.GraphProto, file: Path) -> None:
        self.file = file
        self._makers = {name: node for node in graph.node for name in node.output}
        self._stored = {tensor.name: tensor for tensor in graph.initializer}

    def maker(self, name: str) -> onnx.NodeProto | None:
        """What computes a tensor, seen through :data:`PASSING`; None for an input or a stored tensor."""
        node = self._makers.get(name)
        for _ in self._makers:
            if node is None or node.op_type not in PASSING:
                break
            node = self._makers.get(node.input[0])
        return node

    def stored(self, name: str) -> NDArray[Any] | None:
        """A stored tensor; None where it is computed, or lies outside the file."""
        from onnx import TensorProto, numpy_helper

        tensor, node = self._stored.get(name), self._makers.get(name)
        if tensor is None and node is not None and node.op_type == "Constant":
            tensor = next((a.t for a in node.attribute if a.name == "value"), None)
        if tensor is None or tensor.data_location == TensorProto.EXTERNAL:
            return None
        return numpy_helper.to_array(tensor)


def _head(graph: _Graph) -> _Head:
    last = graph.maker(OUTPUT_NAME)
    if last is None:
        raise _refused(graph.file, "nothing computes the logits")
    pooled, weights, bias = _linear(graph, last)
    pooling = last if weights is None else graph.maker(pooled)
    axes = _pooled_axes(graph, pooling)
    if pooling is None or axes is None:
        raise _refused(graph.file, f"{'the logits' if pooling is None else pooling.op_type} before its last layer")
    return _Head(pooling.input[0], axes, weights, bias)


def _linear(graph: _Graph, last: onnx.NodeProto) -> tuple[str, NDArray[np.float64] | None, NDArray[np.float64] | float]:
    """The input, weights (K, D) and bias of a last layer; no weights if it is none."""
    bias: NDArray[Any] | None = None
    if last.op_type == "Add":
        for stored, other in (last.input, reversed(last.input)):
            bias = graph.stored(stored)
            inner = graph.maker(other)
            if bias is not None and inner is not None and inner.op_type == "MatMul":
                last = inner
                break
    if last.op_type not in ("Gemm", "MatMul"):
        return "", None, 0.0
    options = {a.name: (a.f if a.type == a.FLOAT else a.i) for a in last.attribute}
    weights = graph.stored(last.input[1])
    if len(last.input) > 2 and last.input[2]:
        bias = graph.stored(last.input[2])
    if weights is None or weights.ndim != 2 or options.get("transA") or (len(last.input) > 2 and bias is None):
        raise _refused(graph.file, f"a {last.op_type} whose weights are computed, or stored elsewhere")
    matrix = (weights if options.get("transB") else weights.T).astype(np.float64) * options.get("alpha", 1.0)
    shift = 0.0 if bias is None else bias.astype(np.float64).reshape(-1) * options.get("beta", 1.0)
    return last.input[0], matrix, shift


def _pooled_axes(graph: _Graph, node: onnx.NodeProto | None) -> tuple[int, ...] | None:
    """The two axes of four that a global average pooling takes the mean of; None where it is none."""
    if node is None or node.op_type not in ("GlobalAveragePool", "ReduceMean"):
        return None
    if node.op_type == "GlobalAveragePool":
        return 2, 3
    given = next((list(a.ints) for a in node.attribute if a.name == "axes"), None)
    if given is None and len(node.input) > 1:
        stored = graph.stored(node.input[1])
        given = None if stored is None else stored.reshape(-1).tolist()
    axes = tuple(sorted(int(axis) % 4 for axis in given or ()))
    return axes if axes in ((2, 3), (1, 2)) else None


def _refused(file: Path, got: str) -> ModelError:
    return ModelError(
        "this file has no class activation maps",
        where=file,
        got=got,
        expected="global average pooling and then one linear layer, and maps whose means are the logits",
        hint="explain it by occlusion or rise, which work for any file",
    )
