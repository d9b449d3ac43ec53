"""What scores are: logits, probabilities or their logarithms; told by their values on photos and by their operator."""

from __future__ import annotations

from pathlib import Path
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from clsbench.errors import ModelError
from clsbench.text import counted

#: ``logit`` and ``probability`` are of the second of two classes, where there is one number an image.
Kind = Literal["logits", "probabilities", "log-probabilities", "logit", "probability"]

#: How far sums of probabilities may be from 1: float16 sums of a thousand classes.
SUM_TOLERANCE = 5e-3

#: The same where a quantised graph rounds each of them to 1/256, and most of a thousand to 0.
ROUNDED_TOLERANCE = 0.3

#: Operators that change nothing about what scores are, but for rounding.
_PASSING = {
    "Identity", "Cast", "Reshape", "Flatten", "Squeeze", "Unsqueeze", "Transpose", "QuantizeLinear", "DequantizeLinear",
    "Dropout",
}  # fmt: skip
_SIGMOIDS, _SOFTMAXES = ("Sigmoid", "HardSigmoid", "QLinearSigmoid"), ("Softmax", "QLinearSoftmax")

#: Parts of names of operators that end in sums, and so give numbers of any size: those that fell between 0 and 1 are
#: logits all the same.
_SUMS = ("Gemm", "MatMul", "Conv", "Add", "Pool", "ReduceMean", "Normalization", "Einsum")


def kind_of(rows: NDArray[np.float64], graph: Any, name: str, file: Path) -> Kind:
    """What numbers are, from what they are on photos and from the operator that made them.

    Args:
        rows: float64 (images, K).
        graph: The GraphProto.
        name: Of its output.
        file: For messages.

    Raises:
        ModelError: if they are no scores of classes that exclude each other, or it is not clear what they are.
    """
    inside, last = bool((rows >= 0).all() and (rows <= 1 + SUM_TOLERANCE).all()), _last_operator(graph, name)
    if rows.shape[1] == 1:
        return _kind_of_one(rows, inside, last, name, file)
    sums = rows.sum(axis=1)
    rounded = inside and last in _SOFTMAXES and np.allclose(sums, 1, atol=ROUNDED_TOLERANCE)
    if sums_to_one(rows) or rounded:
        return "probabilities"
    if inside and last in _SIGMOIDS:
        raise ModelError(
            "the graph gives tags that do not exclude each other, and no classes", where=file,
            got=f"{name}: {counted(rows.shape[1], 'probability', 'probabilities')} by Sigmoid, "
            f"in all {rows[0].sum():.3f}",
            expected="probabilities that sum to 1, or logits",
            hint="clsbench judges classifiers with one class an image", code="CB-M006",
        )  # fmt: skip
    if (rows <= SUM_TOLERANCE).all() and np.allclose(np.exp(rows).sum(axis=1), 1, atol=SUM_TOLERANCE):
        return "log-probabilities"
    fixed = (rows >= 0).all() and sums[0] > 0 and np.allclose(sums, sums[0], rtol=1e-3) and not _same(rows)
    if fixed or (inside and not _ends_in_sum(last)):
        raise _unclear(rows, last, name, file)
    return "logits"


def _kind_of_one(rows: NDArray[np.float64], inside: bool, last: str, name: str, file: Path) -> Kind:
    if last in _SOFTMAXES:
        raise ModelError(
            "the only output is always 1: it is a softmax over one number", where=file, got=f"{name}: {rows[0, 0]:g}",
            expected="one number before Softmax, or two after it", hint="export the network without its last layer",
            code="CB-M006",
        )  # fmt: skip
    if inside and last in _SIGMOIDS:
        return "probability"
    if inside and not _ends_in_sum(last):
        raise _unclear(rows, last, name, file)
    return "logit"


def _unclear(rows: NDArray[np.float64], last: str, name: str, file: Path) -> ModelError:
    """Of numbers that look like probabilities and are not known to be any."""
    sums = f"; of one image in all {rows[0].sum():.4g}" if rows.shape[1] > 1 else ""
    return ModelError(
        "it is not clear what the scores of the graph are", where=file,
        got=f"{name}: numbers from {rows.min():.4g} to {rows.max():.4g} by {last or 'no operator'}{sums}",
        expected="logits, or probabilities that sum to 1; of one number, Sigmoid or what is before it",
        hint="export the network without what follows its last layer, or name another output with --output",
        code="CB-M006",
    )  # fmt: skip


def sums_to_one(rows: NDArray[np.float64]) -> bool:
    """Whether numbers (images, K) are probabilities of classes."""
    return bool((rows >= -1e-6).all() and np.allclose(rows.sum(axis=1), 1, atol=SUM_TOLERANCE)) and rows.shape[1] > 1


def say_the_same(one: NDArray[np.float64], other: NDArray[np.float64]) -> bool:
    """Whether two outputs (images, K) are the same scores, as they are or after softmax."""
    if one.shape != other.shape:
        return False
    first, second = (rows if sums_to_one(rows) else _softmax(rows) for rows in (one, other))
    return np.allclose(first, second, atol=SUM_TOLERANCE)


def _softmax(rows: NDArray[np.float64]) -> NDArray[np.float64]:
    powers = np.exp(rows - rows.max(axis=1, keepdims=True))
    return np.asarray(powers / powers.sum(axis=1, keepdims=True))


def _same(rows: NDArray[np.float64]) -> bool:
    return bool((rows == rows[0]).all())


def _ends_in_sum(operator: str) -> bool:
    return any(word in operator for word in _SUMS)


def _last_operator(graph: Any, name: str) -> str:
    """The operator that made an output, behind those that only move numbers."""
    made_by = {output: node for node in graph.node for output in node.output}
    node = made_by.get(name)
    while node is not None and node.op_type in _PASSING and node.input:
        node = made_by.get(node.input[0])
    return node.op_type if node is not None else ""
