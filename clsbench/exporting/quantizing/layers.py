"""Which nodes of a classifier's graph are quantized, and which are kept in float from the beginning."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Iterator
from typing import Any

#: Operators that do nearly all of a network's work, and that int8 makes faster.
HEAVY = ("Conv", "ConvTranspose", "Gemm", "MatMul")

#: Activations that engines compute together with the layer before them.
ACTIVATIONS = ("Clip", "HardSigmoid", "HardSwish", "LeakyRelu", "Relu", "Sigmoid")


#: The share of a network's weights that its head may have to be kept in float.
HEAD = 0.1


def name_nodes(model: Any) -> None:
    """Give every node of a ModelProto a name of its own, in place: what stays in float is told by names."""
    times = Counter(node.name for node in model.graph.node)
    taken = set(times)
    for number, node in enumerate(model.graph.node):
        if not node.name or times[node.name] > 1:
            name = f"{node.op_type}_{number}"
            while name in taken:
                name += "_"
            taken.add(name)
            node.name = name


def float_from_the_start(model: Any) -> list[str]:
    """Names of the nodes before the first heavy one, the normalisation, and of the last heavy one, the head.

    The pixels and the logits lose most by eight bits, and these nodes are a small part of the work. The head of many
    classes is a large part of the file, and then it is quantized like the rest.
    """
    after: set[str] = set()
    first = []
    for node in model.graph.node:
        if node.op_type in HEAVY or after.intersection(node.input):
            after.update(node.output)
        else:
            first.append(node.name)
    sizes = {tensor.name: math.prod(tensor.dims) for tensor in model.graph.initializer}
    small = HEAD * sum(sizes.values())
    last = [node for node in heavy(model)[-1:] if sum(sizes.get(name, 0) for name in node.input) <= small]
    return [*first, *(node.name for node in last)]


def heavy(model: Any) -> list[Any]:
    """The nodes that do the work, those that multiply by weights, in the order of the graph."""
    constant = {tensor.name for tensor in model.graph.initializer}
    constant.update(out for node in model.graph.node if node.op_type == "Constant" for out in node.output)
    # A weight may be dequantized, or turned round, before it is used.
    for node in model.graph.node:
        if node.input and node.op_type != "Constant" and constant.issuperset(filter(None, node.input)):
            constant.update(node.output)
    return [node for node in model.graph.node if node.op_type in HEAVY and constant.intersection(node.input)]


def is_transformer(model: Any) -> bool:
    """Whether most of the work is in products of matrices, between which values are normalised."""
    kinds = Counter(node.op_type for node in heavy(model))
    return kinds["MatMul"] + kinds["Gemm"] > max(3, kinds["Conv"])


def with_activation(model: Any, node: Any) -> Iterator[str]:
    """Names of the tensors that a node makes: its own output, and that of an activation right behind it."""
    yield from node.output
    for other in model.graph.node:
        if other.op_type in ACTIVATIONS and set(node.output).intersection(other.input):
            yield from other.output
