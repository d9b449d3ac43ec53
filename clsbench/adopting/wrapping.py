"""A foreign graph between ours: raw pixels in, logits out, and any number of images a call."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from clsbench.adopting.graph import ImageInput
from clsbench.adopting.prefixing import prefixed
from clsbench.adopting.scores import LEAST, Scores
from clsbench.card import FEATURES_NAME, INPUT_NAME, OUTPUT_NAME
from clsbench.transform import ImageTransform

#: What names of the foreign graph begin with, so that none is like one of ours.
PREFIX = "adopted."

#: The name of the node that runs the foreign graph on one image after the other.
ONE_BY_ONE = "clsbench.one_by_one"

#: The output of :func:`beginning`.
PREPARED = "prepared_input"


def wrap(model: Any, image: ImageInput, scores: Scores, transform: ImageTransform, *, one_by_one: bool = False) -> Any:
    """A ModelProto that keeps the contract: ``images`` uint8 (N, h, w, 3) -> ``logits`` float32 (N, K), N free.

    Where the graph has features, they are the second output, float32 (N, D).

    Args:
        model: The foreign ModelProto, as :func:`clsbench.adopting.graph.load_graph` gives it; left as it is.
        image: Its input.
        scores: Its output.
        transform: The preprocessing: normalisation becomes the first layer.
        one_by_one: Run the graph on one image after the other (ONNX's Scan), for one that takes no more at once.
    """
    import onnx

    inner = prefixed(model.graph, PREFIX)
    nodes = _Nodes()
    prepared = _normalisation(nodes, image, transform)
    given, name = PREFIX + image.name, PREFIX + scores.output
    features = PREFIX + scores.features if scores.features else None
    if one_by_one:
        name, features = _scan(nodes, inner, prepared, given, image, transform, scores)
    else:
        nodes.add("Identity", [prepared], given)
        nodes.made += inner.node
        nodes.weights += inner.initializer
    _tail(nodes, name, scores)
    outputs = [onnx.helper.make_tensor_value_info(OUTPUT_NAME, onnx.TensorProto.FLOAT, ["N", scores.classes])]
    if features:
        rows = nodes.constant("feature_rows", np.array([-1, scores.feature_dim], np.int64))
        flat = nodes.add("Reshape", [features, rows], "flat_features")
        nodes.add("Cast", [flat], FEATURES_NAME, to=onnx.TensorProto.FLOAT)
        outputs.append(
            onnx.helper.make_tensor_value_info(FEATURES_NAME, onnx.TensorProto.FLOAT, ["N", scores.feature_dim])
        )
    h, w = transform.size
    graph = onnx.helper.make_graph(
        nodes.made, "clsbench",
        [onnx.helper.make_tensor_value_info(INPUT_NAME, onnx.TensorProto.UINT8, ["N", h, w, 3])],
        outputs, nodes.weights,
    )  # fmt: skip
    if not one_by_one:
        graph.sparse_initializer.extend(inner.sparse_initializer)
        graph.quantization_annotation.extend(inner.quantization_annotation)
    return onnx.helper.make_model(graph, opset_imports=list(model.opset_import), ir_version=model.ir_version)


def beginning(wrapped: Any, image: ImageInput) -> Any:
    """A ModelProto of a wrapped graph's beginning alone, :data:`PREPARED` of ``images``; None of any other graph.

    Args:
        wrapped: The ModelProto of an adopted file.
        image: The input of its original: what the beginning gives.
    """
    from onnx import TensorProto, helper

    made: list[Any] = []
    for node in wrapped.graph.node:
        taken = node.input[0] if node.name == ONE_BY_ONE or PREFIX + image.name in node.output else None
        if taken is not None:
            break
        made.append(node)
    else:
        return None
    read = {name for node in made for name in node.input}
    weights = [tensor for tensor in wrapped.graph.initializer if tensor.name in read]
    result = helper.make_tensor_value_info(PREPARED, getattr(TensorProto, image.dtype.upper()), None)
    made.append(helper.make_node("Identity", [taken], [PREPARED]))
    graph = helper.make_graph(made, "normalisation", list(wrapped.graph.input), [result], weights)
    opsets = [each for each in wrapped.opset_import if each.domain in ("", "ai.onnx")]
    return helper.make_model(graph, opset_imports=opsets, ir_version=wrapped.ir_version)


class _Nodes:
    """Nodes in their order, with the constants that they read."""

    def __init__(self) -> None:
        self.made: list[Any] = []
        self.weights: list[Any] = []

    def add(self, kind: str, inputs: Sequence[str], output: str, **attributes: Any) -> str:
        from onnx import helper

        self.made.append(helper.make_node(kind, list(inputs), [output], name=f"clsbench.{output}", **attributes))
        return output

    def constant(self, name: str, values: Any) -> str:
        from onnx import numpy_helper

        self.weights.append(numpy_helper.from_array(np.asarray(values), name))
        return name


def _normalisation(nodes: _Nodes, image: ImageInput, transform: ImageTransform) -> str:
    """uint8 (N, h, w, 3), RGB -> what the graph takes."""
    from onnx import TensorProto, helper

    wanted = getattr(TensorProto, image.dtype.upper())
    tensor, axis = INPUT_NAME, 1 if image.layout == "NCHW" else 3
    if wanted != TensorProto.UINT8:  # first of all: TensorRT takes uint8 only where a Cast is what reads it
        tensor = nodes.add("Cast", [tensor], "levels", to=TensorProto.FLOAT)
    if image.layout == "NCHW":
        tensor = nodes.add("Transpose", [tensor], "channels_first", perm=[0, 3, 1, 2])
    if transform.color == "BGR":
        order = nodes.constant("channel_order", np.array([2, 1, 0], np.int64))
        tensor = nodes.add("Gather", [tensor, order], "reversed", axis=axis)
    elif image.channels == 1:
        first = nodes.constant("first_channel", np.array([0], np.int64))
        tensor = nodes.add("Gather", [tensor, first], "grey", axis=axis)
    if wanted == TensorProto.UINT8:
        return tensor
    mean, std = (np.array(values[: image.channels], np.float64) for values in (transform.mean, transform.std))
    place = (1, -1, 1, 1) if image.layout == "NCHW" else (1, 1, 1, -1)
    scale = nodes.constant("scale", (1 / (255 * std)).astype(np.float32).reshape(place))
    shift = nodes.constant("shift", (-mean / std).astype(np.float32).reshape(place))
    tensor = nodes.add("Add", [nodes.add("Mul", [tensor, scale], "scaled"), shift], "normalised")
    if wanted != helper.np_dtype_to_tensor_dtype(np.dtype(np.float32)):
        tensor = nodes.add("Cast", [tensor], "prepared", to=wanted)
    return tensor


def _scan(
    nodes: _Nodes, graph: Any, prepared: str, given: str, image: ImageInput, transform: ImageTransform, scores: Scores
) -> tuple[str, str | None]:
    """Run the graph on one image after the other; returns the names of the scores (N, K) and features (N, D)."""
    from onnx import helper, numpy_helper

    (h, w), channels = transform.size, image.channels
    shape = [channels, h, w] if image.layout == "NCHW" else [h, w, channels]
    kinds = {value.name: value.type.tensor_type.elem_type for value in (*graph.input, *graph.output)}
    body = type(graph)()
    body.CopyFrom(graph)
    del body.node[:], body.input[:], body.output[:]
    one = "clsbench.one_image"  # unlike any name with the prefix
    body.initializer.append(numpy_helper.from_array(np.array([1, *shape], np.int64), f"{one}.shape"))
    body.node.append(helper.make_node("Reshape", [one, f"{one}.shape"], [given]))
    body.node.extend(graph.node)
    body.input.append(helper.make_tensor_value_info(one, kinds[given], shape))
    names = []
    for output, count, name in ((scores.output, scores.count, "scores"), (scores.features, scores.feature_dim, "all")):
        if output is None:
            continue
        row = f"clsbench.one_row.{name}"
        body.initializer.append(numpy_helper.from_array(np.array([count], np.int64), f"{row}.shape"))
        body.node.append(helper.make_node("Reshape", [PREFIX + output, f"{row}.shape"], [row]))
        body.output.append(helper.make_tensor_value_info(row, kinds[PREFIX + output], [count]))
        names.append(f"{name}_one_by_one")
    nodes.made.append(helper.make_node("Scan", [prepared], names, name=ONE_BY_ONE, body=body, num_scan_inputs=1))
    return names[0], names[1] if len(names) > 1 else None


def _tail(nodes: _Nodes, scores: str, found: Scores) -> None:
    """Scores as the graph gives them -> ``logits`` float32 (N, K)."""
    from onnx import TensorProto

    rows = nodes.constant("rows", np.array([-1, found.count], np.int64))
    flat = nodes.add("Reshape", [scores, rows], "flat_scores")
    flat = nodes.add("Cast", [flat], "float_scores", to=TensorProto.FLOAT)
    if found.kind in ("probabilities", "probability"):
        if found.kind == "probability":
            one = nodes.constant("one", np.ones((1, 1), np.float32))
            flat = nodes.add("Concat", [nodes.add("Sub", [one, flat], "other_class"), flat], "both_classes", axis=1)
        least = nodes.constant("least_probability", np.full((1, 1), LEAST, np.float32))
        least_added = nodes.add("Add", [nodes.add("Relu", [flat], "positive"), least], "above_zero")
        nodes.add("Log", [least_added], OUTPUT_NAME)  # Max would not broadcast before opset 8
    elif found.kind == "logit":
        zero = nodes.constant("zero", np.zeros((1, 1), np.float32))
        nodes.add("Concat", [nodes.add("Mul", [flat, zero], "other_logit"), flat], OUTPUT_NAME, axis=1)
    else:
        nodes.add("Identity", [flat], OUTPUT_NAME)
