"""A graph with a fixed batch size, changed to take any number of images where its nodes follow."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from clsbench.adopting.graph import ImageInput, constants

if TYPE_CHECKING:
    from onnx import TensorProto

#: Names of what is added.
_COUNT, _PREFIX = "clsbench.count", "clsbench.free."


def freed(model: Any, image: ImageInput) -> Any:
    """A copy with a free batch size instead of a fixed one; whether it gives the same is for the caller to try.

    Shapes that a Reshape is given as constants, and that begin with the fixed size, take the images as they come;
    constants that are joined to the images, such as a transformer's class token, are repeated for each.
    """
    copy = type(model)()
    copy.CopyFrom(model)
    graph, batch = copy.graph, image.batch or 1
    del graph.value_info[:]
    for value in (*graph.input, *graph.output):
        if value.type.tensor_type.shape.dim:
            value.type.tensor_type.shape.dim[0].Clear()
            value.type.tensor_type.shape.dim[0].dim_param = "N"
    known = constants(graph)
    nodes = _counted(graph, image.name)
    for node in graph.node:
        if node.op_type == "Reshape":
            _free_shape(graph, node, known, batch)
        elif node.op_type == "Expand" and batch == 1:
            nodes += _repeat(graph, node, 0, node.input[0], known)
        elif node.op_type == "Concat" and batch == 1 and _axis(node) > 0 and not set(node.input) <= known.keys():
            for position, name in enumerate(node.input):
                if name in known and _leads_with_one(known[name]):
                    nodes += _repeat(graph, node, position, name, known)
        nodes.append(node)
    made = [type(node).FromString(node.SerializeToString()) for node in nodes]
    del graph.node[:]
    graph.node.extend(made)
    return copy


def _counted(graph: Any, image: str) -> list[Any]:
    """Nodes that make int64 (1,): how many images there are."""
    from onnx import helper, numpy_helper

    graph.initializer.append(numpy_helper.from_array(np.array([0], np.int64), f"{_PREFIX}first"))
    return [
        helper.make_node("Shape", [image], [f"{_PREFIX}shape"]),
        helper.make_node("Gather", [f"{_PREFIX}shape", f"{_PREFIX}first"], [_COUNT], axis=0),
    ]


def _free_shape(graph: Any, node: Any, known: dict[str, TensorProto], batch: int) -> None:
    """Let a Reshape take the number of images from its input, or from what is left over."""
    from onnx import numpy_helper

    if node.input[1] not in known:
        return
    shape = numpy_helper.to_array(known[node.input[1]]).copy()
    if shape.ndim == 1 and shape.size > 1 and shape[0] == batch:
        shape[0] = 0 if (shape[1:] == -1).any() else -1
        name = f"{_PREFIX}{node.output[0]}"
        graph.initializer.append(numpy_helper.from_array(shape, name))
        node.input[1] = name


def _repeat(graph: Any, node: Any, position: int, name: str, known: dict[str, TensorProto]) -> list[Any]:
    """Nodes that repeat a constant (1, ...) for each image, and read it in its place; none where it is another."""
    from onnx import helper, numpy_helper

    if name not in known or not _leads_with_one(known[name]):
        return []
    base, rest = f"{_PREFIX}{node.output[0]}.{position}", list(known[name].dims)[1:]
    graph.initializer.append(numpy_helper.from_array(np.array(rest, np.int64), f"{base}.rest"))
    made = [helper.make_node("Concat", [_COUNT, f"{base}.rest"], [f"{base}.shape"], axis=0)]
    if node.op_type == "Expand":
        node.input[1] = f"{base}.shape"
        return made
    node.input[position] = base
    return [*made, helper.make_node("Expand", [name, f"{base}.shape"], [base])]


def _leads_with_one(tensor: Any) -> bool:
    return len(tensor.dims) > 1 and tensor.dims[0] == 1


def _axis(node: Any) -> int:
    """The axis of a Concat; a negative one is the last or one before, and so never the first of several."""
    axis = next((each.i for each in node.attribute if each.name == "axis"), 0)
    return axis if axis >= 0 else 1
