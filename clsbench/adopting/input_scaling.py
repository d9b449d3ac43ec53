"""Whether a graph brings its input into range itself, as Keras's networks do: a better guess than the usual one."""

from __future__ import annotations

from typing import Any

import numpy as np

from clsbench.adopting.graph import constants

#: Operators that only move numbers or change their type.
_PASSING = {"Identity", "Cast", "Transpose", "Reshape", "Pad", "Gather"}

#: Levels rather than fractions: what is subtracted or divided by is at least so much.
LEVELS = 10.0


def guess_range(graph: Any, image: str) -> dict[str, tuple[Any, str]]:
    """Field -> (value, reason) for a graph that begins with arithmetic on its input; empty for any other.

    A division by 255 or 127.5, a multiplication by 1/255 or a subtraction of 104 take levels of 0 to 255 as they are;
    smaller numbers take 0 to 1.
    """
    known = constants(graph)
    readers: dict[str, list[Any]] = {}
    for node in graph.node:
        for name in node.input:
            readers.setdefault(name, []).append(node)
    tensor = image
    while len(following := readers.get(tensor, [])) == 1 and following[0].op_type in _PASSING and following[0].output:
        tensor = following[0].output[0]
    node = following[0] if len(following) == 1 else None
    if node is None or node.op_type not in ("Sub", "Add", "Div", "Mul") or len(node.input) != 2:
        return {}
    other = next(name for name in (*node.input, "") if name != tensor)
    if other not in known:
        return {}
    size = _largest(known[other])
    if not 0 < size < np.inf:
        return {}
    levels = (1 / size if node.op_type == "Mul" else size) >= LEVELS
    full = 1 / 255 if levels else 1.0
    reason = f"the graph begins with {node.op_type} {size:.4g}, so it takes {'0 to 255' if levels else '0 to 1'}"
    return {"mean": ((0.0,) * 3, reason), "std": ((full,) * 3, reason)}


def _largest(tensor: Any) -> float:
    """Of the absolute values in a tensor; 0 for one that is no number, as a stranger may have it."""
    from onnx import numpy_helper

    try:
        return float(np.abs(numpy_helper.to_array(tensor).astype(np.float64)).max(initial=0))
    except (TypeError, ValueError, KeyError):
        return 0.0
