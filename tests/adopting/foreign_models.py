"""Small classifiers as other programs would export them, made in code."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import onnx
from onnx import TensorProto, helper, numpy_helper

H, W, K = 24, 32, 5

TYPES = {"float": TensorProto.FLOAT, "float16": TensorProto.FLOAT16, "uint8": TensorProto.UINT8}


def classifier(
    file: Path,
    *,
    layout: str = "NCHW",
    dtype: str = "float",
    batch: int | str = "batch",
    sides: tuple[int | str, int | str] = (H, W),
    channels: int = 3,
    classes: int = K,
    scores: str = "logits",
    shape: str = "(N,K)",
    opset: int = 17,
    ir_version: int = 8,
    names: tuple[str, str] = ("input", "output"),
    flatten: Sequence[int] | None = None,
    weights_are_inputs: bool = False,
    extra: Sequence[str] = (),
    scaling: tuple[str, float] | None = None,
    metadata: dict[str, str] | None = None,
    seed: int = 0,
) -> Path:
    """Convolution, pooling and a linear layer, with the variations that foreign files show.

    Args:
        scores: ``logits``, ``softmax``, ``log_softmax`` or ``sigmoid``.
        shape: ``(N,K)`` or ``(N,K,1,1)``.
        flatten: The shape that a Reshape is given before the linear layer, in place of Flatten.
        extra: Further outputs: ``probabilities``, ``features``.
        scaling: An operator and a number that the graph begins with.
    """
    random = np.random.default_rng(seed)
    half = TYPES["float16"] if dtype == "float16" else TYPES["float"]
    kind = np.float16 if dtype == "float16" else np.float32
    weights = {
        "conv": random.normal(0, 0.3, (8, channels, 3, 3)).astype(kind),
        "bias": random.normal(0, 0.3, 8).astype(kind),
        "linear": random.normal(0, 1.5, (8, classes)).astype(kind),
        "offset": random.normal(0, 0.3, classes).astype(kind),
    }
    if flatten is not None:
        weights["shape"] = np.array(flatten, np.int64)
    if scaling:
        weights["divisor"] = np.array(scaling[1], kind)
    given, result = names
    nodes, tensor = [], given
    if dtype == "uint8":
        nodes.append(helper.make_node("Cast", [tensor], ["cast"], to=half))
        weights["conv"] = weights["conv"] / 255
        tensor = "cast"
    if scaling:
        nodes.append(helper.make_node(scaling[0], [tensor, "divisor"], ["scaled"]))
        tensor = "scaled"
    if layout == "NHWC":
        nodes.append(helper.make_node("Transpose", [tensor], ["turned"], perm=[0, 3, 1, 2]))
        tensor = "turned"
    nodes += [
        helper.make_node("Conv", [tensor, "conv", "bias"], ["convolved"], kernel_shape=[3, 3], strides=[2, 2]),
        helper.make_node("Relu", ["convolved"], ["active"]),
        helper.make_node("GlobalAveragePool", ["active"], ["pooled"]),
        helper.make_node("Reshape", ["pooled", "shape"], ["features"])
        if flatten is not None
        else helper.make_node("Flatten", ["pooled"], ["features"]),
        helper.make_node("Gemm", ["features", "linear", "offset"], ["raw"]),
    ]
    tensor = "raw"
    if scores != "logits":
        operator = {"softmax": "Softmax", "log_softmax": "LogSoftmax", "sigmoid": "Sigmoid"}[scores]
        attributes = {} if scores == "sigmoid" else {"axis": 1}
        nodes.append(helper.make_node(operator, [tensor], ["scored"], **attributes))
        tensor = "scored"
    if shape == "(N,K,1,1)":
        weights["four"] = np.array([-1, classes, 1, 1], np.int64)
        nodes.append(helper.make_node("Reshape", [tensor, "four"], [result]))
    else:
        nodes.append(helper.make_node("Identity", [tensor], [result]))
    dims = [batch, channels, *sides] if layout == "NCHW" else [batch, *sides, channels]
    last = [batch, classes, 1, 1] if shape == "(N,K,1,1)" else [batch, classes]
    outputs = [helper.make_tensor_value_info(result, half, last)]
    if "probabilities" in extra:
        nodes.append(helper.make_node("Softmax", ["raw"], ["probabilities"], axis=1))
        outputs.insert(0, helper.make_tensor_value_info("probabilities", half, [batch, classes]))
    if "features" in extra:
        outputs.append(helper.make_tensor_value_info("features", half, [batch, 8]))
    inputs = [helper.make_tensor_value_info(given, TYPES[dtype], dims)]
    initializers = [numpy_helper.from_array(array, name) for name, array in weights.items()]
    if weights_are_inputs:
        inputs += [helper.make_tensor_value_info(each.name, each.data_type, each.dims) for each in initializers]
    graph = helper.make_graph(nodes, "foreign", inputs, outputs, initializers)
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", opset)], ir_version=ir_version)
    helper.set_model_props(model, metadata or {})
    onnx.save(model, file)
    return file


def run(file: Path, pixels: np.ndarray[Any, Any]) -> np.ndarray[Any, Any]:
    """What ONNX Runtime says of a foreign file, image by image, as the file wants it."""
    import onnxruntime as ort

    session = ort.InferenceSession(file)
    (given, *_), name = session.get_inputs(), session.get_outputs()[-1].name
    return np.concatenate([session.run([name], {given.name: one[None]})[0] for one in pixels])
