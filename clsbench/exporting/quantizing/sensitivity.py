"""How far eight bits move the values around each layer, channel by channel: which layers to keep in float first.

Every quantized tensor of the float network is rounded as the quantized one rounds it, and the error of a channel is
measured by what that channel says: its variance. So a channel of huge values, whose range leaves the others a few steps
of the 256, is found, although it hardly counts in the error of the tensor as a whole.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.typing import NDArray

from clsbench.card import INPUT_NAME
from clsbench.exporting.quantizing.layers import heavy, with_activation
from clsbench.inference.sessions import open_session


@dataclass
class _Sums:
    """Of a tensor, by channel: how many values, their sum, the sum of their squares, and of the squared errors."""

    count: int = 0
    total: Any = field(default=0.0)
    squares: Any = field(default=0.0)
    errors: Any = field(default=0.0)

    def add(self, values: NDArray[np.float32], step: float, zero: float, low: int, high: int) -> None:
        """Another batch, rounded to ``step`` between the integers ``low`` and ``high``."""
        axis = 2 if values.ndim == 3 else 1  # the last of tokens, the second of images and vectors
        by_channel = np.moveaxis(values, axis, 0).reshape(values.shape[axis], -1)
        rounded = (np.clip(np.round(by_channel / step) + zero, low, high) - zero) * step
        self.count += by_channel.shape[1]
        self.total = self.total + by_channel.sum(axis=1, dtype=np.float64)
        self.squares = self.squares + np.square(by_channel, dtype=np.float64).sum(axis=1)
        self.errors = self.errors + np.square(by_channel - rounded, dtype=np.float64).sum(axis=1)

    @property
    def error(self) -> float:
        """The squared error over the variance, at most 1, as a mean over the channels that say something."""
        variance = self.squares / self.count - (self.total / self.count) ** 2
        says = variance > 1e-12 * max(1e-30, float(np.max(self.squares)) / self.count)
        shares = np.minimum(1.0, self.errors[says] / self.count / variance[says])
        return float(shares.mean()) if shares.size else 0.0


def rank_layers(model: Any, quantized: Any, batches: Iterable[NDArray[np.uint8]]) -> list[tuple[str, float]]:
    """Names and errors of the layers that do the work and are quantized, the most sensitive first.

    Args:
        model: The float ModelProto that was quantized.
        quantized: The result, with the same names of nodes and tensors.
        batches: uint8 (n, h, w, 3); a few images suffice.
    """
    steps = _activation_steps(quantized, {out for node in model.graph.node for out in node.output})
    activations = _activation_errors(model, steps, batches)
    weights = _weight_errors(model, quantized)
    done = {node.name: node for node in heavy(quantized)}
    found = []
    for node in heavy(model):
        if node.name not in done or list(done[node.name].input) == list(node.input):
            continue  # it is in float already
        around = [*node.input, *with_activation(model, node)]
        found.append((node.name, weights.get(node.name, 0.0) + sum(activations.get(name, 0.0) for name in around)))
    return sorted(found, key=lambda pair: -pair[1])


def _activation_steps(quantized: Any, tensors: set[str]) -> dict[str, tuple[float, float, int, int]]:
    """Tensor -> step, zero point and the range of its integers."""
    from onnx import numpy_helper

    constants = {tensor.name: tensor for tensor in quantized.graph.initializer}
    found = {}
    for node in quantized.graph.node:
        if node.op_type == "QuantizeLinear" and node.input[0] in tensors and node.input[1] in constants:
            step = numpy_helper.to_array(constants[node.input[1]])
            zero = numpy_helper.to_array(constants[node.input[2]]) if len(node.input) > 2 else np.zeros((), np.uint8)
            if step.size == 1 and zero.size == 1 and np.issubdtype(zero.dtype, np.integer):
                limits = np.iinfo(zero.dtype)
                found[node.input[0]] = float(step.reshape(())), float(zero.reshape(())), limits.min, limits.max
    return found


def _activation_errors(
    model: Any, steps: Mapping[str, tuple[float, float, int, int]], batches: Iterable[NDArray[np.uint8]]
) -> dict[str, float]:
    """Tensor -> its error, from one run of the float network with these tensors as outputs."""
    import onnx

    if not steps:
        return {}
    opened = onnx.ModelProto()
    opened.CopyFrom(model)
    own = {out.name for out in opened.graph.output}
    opened.graph.output.extend(onnx.helper.make_empty_tensor_value_info(name) for name in steps if name not in own)
    session, sums = open_session(opened.SerializeToString(), "cpu"), {name: _Sums() for name in steps}
    for batch in batches:
        for image in np.split(batch, len(batch)):  # one at a time: all activations are in memory
            for name, values in zip(steps, session.run(list(steps), {INPUT_NAME: image}), strict=True):
                if values.ndim > 1:
                    sums[name].add(values, *steps[name])
    return {name: each.error for name, each in sums.items() if each.count}


def _weight_errors(model: Any, quantized: Any) -> dict[str, float]:
    """Layer -> the error of its weights: the squared change over the square, as a mean over the output channels."""
    from onnx import numpy_helper

    before, after = ({tensor.name: tensor for tensor in each.graph.initializer} for each in (model, quantized))
    made = {out: node for node in quantized.graph.node for out in node.output}
    layers, found = {node.name: node for node in heavy(quantized)}, {}
    for node in heavy(model):
        if len(node.input) < 2 or node.input[1] not in before or node.name not in layers:
            continue
        back = made.get(layers[node.name].input[1])
        if back is None or back.op_type != "DequantizeLinear" or not {*back.input[:2]} <= after.keys():
            continue
        weights, integers, step = (
            numpy_helper.to_array(tensor)
            for tensor in (before[node.input[1]], after[back.input[0]], after[back.input[1]])
        )
        axis = next((a.i for a in back.attribute if a.name == "axis"), 1)
        shape = [-1 if k == axis % weights.ndim else 1 for k in range(weights.ndim)]
        apart = integers.astype(np.float64) * step.reshape(shape if step.size > 1 else [1] * weights.ndim) - weights
        others = tuple(k for k in range(weights.ndim) if k != axis % weights.ndim)
        power = np.square(weights, dtype=np.float64).mean(axis=others)
        shares = np.minimum(1.0, np.square(apart).mean(axis=others) / np.maximum(power, 1e-30))
        found[node.name] = float(shares.mean())
    return found
