"""The parts of an ONNX model, and the proof that they can be put in an order."""

from __future__ import annotations

from collections import deque
from collections.abc import Collection, Iterator, Mapping
from pathlib import Path
from typing import Any

from clsbench.errors import ModelError


def graphs(model: Any) -> Iterator[tuple[Any, Any]]:
    """(GraphProto, its nodes) of the graph, its subgraphs and the functions' ones; (None, nodes) of a function."""
    waiting: list[tuple[Any, Any]] = [(model.graph, model.graph.node)]
    waiting += [(None, function.node) for function in model.functions]
    while waiting:
        part = waiting.pop()
        yield part
        for node in part[1]:
            waiting += [(graph, graph.node) for graph in _subgraphs(node)]


def check_acyclic(model: Any, file: Path) -> None:
    """Refuse nodes that need their own results, and functions that call themselves.

    Raises:
        ModelError: if there is a cycle.
    """
    for _, nodes in graphs(model):
        made = {name: k for k, node in enumerate(nodes) for name in node.output if name}
        needs = {k: {made[name] for name in _read_by(node) if name in made} for k, node in enumerate(nodes)}
        if cyclic := _in_cycles(needs):
            node = nodes[min(cyclic)]
            raise _error("a node of the graph needs its own result", f"{node.op_type} {node.name!r}", file)
    names = {(function.domain, function.name): k for k, function in enumerate(model.functions)}
    if calling := _in_cycles({k: _called(function, names) for k, function in enumerate(model.functions)}):
        raise _error("a function of the model calls itself", model.functions[min(calling)].name, file)


def has_padded_max_pool(model: Any) -> bool:
    """Whether a MaxPool reads what a Pad wrote, which ONNX Runtime's Pad_Fusion computes wrongly."""
    for _, nodes in graphs(model):
        padded = {name for node in nodes if node.op_type == "Pad" for name in node.output}
        if any(node.op_type == "MaxPool" and padded.intersection(node.input) for node in nodes):
            return True
    return False


def _error(what: str, got: str, file: Path) -> ModelError:
    return ModelError(what, where=file, got=got[:200], expected="a graph without cycles")


def _subgraphs(node: Any) -> Iterator[Any]:
    for attribute in node.attribute:
        if attribute.HasField("g"):
            yield attribute.g
        yield from attribute.graphs


def _read_by(node: Any) -> set[str]:
    """Names that a node reads; of its subgraphs those that they do not make themselves."""
    names = set(node.input)
    for graph in _subgraphs(node):
        inner = {name for each in graph.node for name in _read_by(each)} | {value.name for value in graph.output}
        own = {value.name for value in (*graph.input, *graph.initializer)}
        own.update(name for each in graph.node for name in each.output)
        names |= inner - own
    return names


def _called(function: Any, names: Mapping[tuple[str, str], int]) -> set[int]:
    """The functions that one calls, also in its subgraphs."""
    called, waiting = set(), list(function.node)
    while waiting:
        node = waiting.pop()
        if (known := names.get((node.domain, node.op_type))) is not None:
            called.add(known)
        waiting += [each for graph in _subgraphs(node) for each in graph.node]
    return called


def _in_cycles(needs: Mapping[int, Collection[int]]) -> set[int]:
    """Those that can never come, because they need each other; Kahn's algorithm.

    >>> _in_cycles({0: [], 1: [0], 2: [1, 3], 3: [2]})
    {2, 3}
    """
    left = {k: len(before) for k, before in needs.items()}
    after: dict[int, list[int]] = {}
    for k, before in needs.items():
        for other in before:
            after.setdefault(other, []).append(k)
    free = deque(k for k, count in left.items() if count == 0)
    while free:
        done = free.popleft()
        del left[done]
        for k in after.get(done, ()):
            left[k] -= 1
            if left[k] == 0:
                free.append(k)
    return set(left)
