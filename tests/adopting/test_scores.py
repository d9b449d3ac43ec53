"""What the outputs of a graph are, and which of them is taken: nothing that could be two things is."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
from onnx import TensorProto, helper

from clsbench.adopting.scores import find_scores
from clsbench.errors import ModelError

FILE = Path("theirs.onnx")
RANDOM = np.random.default_rng(0)
LOGITS = RANDOM.normal(0, 2, (4, 5))
OTHER = RANDOM.normal(0, 2, (4, 5))


def softmax(rows: np.ndarray[Any, Any]) -> np.ndarray[Any, Any]:
    powers = np.exp(rows)
    return powers / powers.sum(axis=1, keepdims=True)


def found(outputs: dict[str, np.ndarray[Any, Any]], *operators: str, **given: Any) -> tuple[str, str]:
    """(output, kind) for rows (images, K) by output, the last of which the operators make, one after the other."""
    names = [*(f"t{k}" for k in range(len(operators))), list(outputs)[-1]]
    nodes = [helper.make_node(kind, [names[k]], [names[k + 1]]) for k, kind in enumerate(operators)]
    graph = helper.make_graph(nodes, "g", [], [])
    probes = {name: [row[None].astype(np.float32) for row in rows] for name, rows in outputs.items()}
    scores = find_scores(probes, graph, FILE, classes=None, **given)
    return scores.output, scores.kind


def test_two_heads_that_disagree_are_not_chosen_between_by_their_names_order() -> None:
    with pytest.raises(ModelError, match="several outputs") as error:
        found({"main": LOGITS, "aux": OTHER})
    assert "aux (5 numbers), main (5 numbers)" in str(error.value)
    assert found({"main": LOGITS, "aux": OTHER}, "Gemm", asked="main") == ("main", "logits")
    assert found({"logits": LOGITS, "aux": OTHER}, "Gemm") == ("logits", "logits")


def test_outputs_that_say_the_same_need_no_choice() -> None:
    assert found({"probs": softmax(LOGITS), "z": LOGITS}, "Gemm") == ("z", "logits")


def test_a_rounded_softmax_gives_probabilities() -> None:
    rounded = np.round(softmax(LOGITS) * 16) / 16
    rounded[0, 0] += 0.1
    assert found({"output": rounded}, "Softmax", "QuantizeLinear", "DequantizeLinear") == ("output", "probabilities")


@pytest.mark.parametrize(
    ("rows", "operators"),
    [
        (0.9 * softmax(LOGITS)[:, :1], ("Softmax", "Gather")),  # which of the two classes?
        (softmax(LOGITS)[:, :1], ("Add", "Reciprocal")),
        (1 / (1 + np.exp(-LOGITS)), ("Sigmoid", "Mul")),
        (100 * softmax(LOGITS), ("Softmax", "Mul")),
    ],
)
def test_what_looks_like_probabilities_and_is_none_is_refused(
    rows: np.ndarray[Any, Any], operators: tuple[str, ...]
) -> None:
    with pytest.raises(ModelError, match="not clear what the scores of the graph are"):
        found({"output": rows}, *operators)


def test_logits_that_fall_between_0_and_1_are_logits() -> None:
    assert found({"output": 0.5 + 0.1 * OTHER / 5}, "MatMul", "Add") == ("output", "logits")


def test_a_softmax_over_one_number_is_refused() -> None:
    with pytest.raises(ModelError, match="always 1"):
        found({"output": np.ones((4, 1))}, "Gemm", "Softmax")


def test_classes_before_images_are_no_scores() -> None:
    probes = {"output": [np.ones((2, 1), np.float32)] * 4}
    graph = helper.make_graph([], "g", [], [helper.make_tensor_value_info("output", TensorProto.FLOAT, None)])
    with pytest.raises(ModelError, match="no output of the graph has a score a class"):
        find_scores(probes, graph, FILE, classes=2)


def test_more_numbers_than_any_classifier_has_are_no_scores() -> None:
    probes = {"output": [np.zeros((1, 1_000_001), np.float32)] * 4}
    with pytest.raises(ModelError, match="no output of the graph has a score a class"):
        find_scores(probes, helper.make_graph([], "g", [], []), FILE, classes=None)
