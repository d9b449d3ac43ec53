"""A foreign graph with other names, so that none is like one of ours.

``onnx.compose.add_prefix`` leaves weights of the graph that its subgraphs read as they are (onnx 1.23).
"""

from __future__ import annotations

from collections.abc import MutableSequence
from typing import Any


def prefixed(graph: Any, prefix: str) -> Any:
    """A copy of a GraphProto with ``prefix`` before every name in it and in its subgraphs; empty names stay so."""
    copy = type(graph)()
    copy.CopyFrom(graph)
    waiting = [copy]
    while waiting:
        part = waiting.pop()
        _rename(part, prefix)
        for node in part.node:
            node.name = node.name and prefix + node.name
            _extend(node.input, prefix)
            _extend(node.output, prefix)
            for attribute in node.attribute:
                waiting += [*([attribute.g] if attribute.HasField("g") else []), *attribute.graphs]
    return copy


def _rename(graph: Any, prefix: str) -> None:
    """The names that are not of nodes."""
    sparse = [tensor for each in graph.sparse_initializer for tensor in (each.values, each.indices)]
    for each in (*graph.input, *graph.output, *graph.value_info, *graph.initializer, *sparse):
        each.name = each.name and prefix + each.name
    for note in graph.quantization_annotation:
        note.tensor_name = note.tensor_name and prefix + note.tensor_name
        for parameter in note.quant_parameter_tensor_names:
            parameter.value = parameter.value and prefix + parameter.value


def _extend(names: MutableSequence[str], prefix: str) -> None:
    for k, name in enumerate(names):
        names[k] = name and prefix + name
