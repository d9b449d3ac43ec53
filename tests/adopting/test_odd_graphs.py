"""Graphs as few programs make them: adopted as ONNX Runtime runs the file itself, or refused with the reason."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np
import onnx
import pytest
from onnx import ModelProto, TensorProto, helper, numpy_helper

import clsbench
from clsbench.adopting.input_scaling import guess_range
from clsbench.errors import ModelError
from tests.adopting.foreign_models import K, classifier, run
from tests.adopting.test_adopt import NAMES, STATED, predicted, prepared, softmax
from tests.adopting.test_adopt import pictures as pictures


def changed(file: Path, change: Callable[[ModelProto], None]) -> Path:
    """A classifier whose scores are called ``raw`` before the last node makes ``output`` of them."""
    model = onnx.load(classifier(file))
    change(model)
    onnx.save(model, file)
    return file


def loop_with_weights_of_the_graph(model: ModelProto) -> None:
    """``raw`` and twice ``offset``, added in a Loop whose body reads it from outside."""
    values = {"once": (TensorProto.INT64, []), "on": (TensorProto.BOOL, []), "before": (TensorProto.FLOAT, None)}
    body = helper.make_graph(
        [helper.make_node("Identity", ["on"], ["still"]), helper.make_node("Add", ["before", "offset"], ["after"])],
        "body",
        [helper.make_tensor_value_info(name, *kind) for name, kind in values.items()],
        [
            helper.make_tensor_value_info(name, kind, None)
            for name, kind in (("still", TensorProto.BOOL), ("after", TensorProto.FLOAT))
        ],
    )
    model.graph.initializer.append(numpy_helper.from_array(np.array(2, np.int64), "trips"))
    model.graph.node[-1].CopyFrom(helper.make_node("Loop", ["trips", "", "raw"], ["output"], body=body))


def function_of_an_older_opset(model: ModelProto) -> None:
    older = [helper.make_opsetid("", 11)]
    act = helper.make_function("theirs", "Act", ["x"], ["y"], [helper.make_node("Softmax", ["x"], ["y"])], older)
    model.functions.append(act)
    model.opset_import.append(helper.make_opsetid("theirs", 1))
    model.graph.node[-1].CopyFrom(helper.make_node("Act", ["raw"], ["output"], domain="theirs"))


@pytest.mark.parametrize("change", [loop_with_weights_of_the_graph, function_of_an_older_opset])
def test_subgraphs_and_functions_are_adopted(
    change: Callable[[ModelProto], None], tmp_path: Path, pictures: list[Path]
) -> None:
    file, out = changed(tmp_path / "theirs.onnx", change), tmp_path / "ours.onnx"
    clsbench.adopt(file, out=out, classes=NAMES, gate_n=4, **STATED)
    scores = run(file, prepared(pictures))
    expected = scores if change is function_of_an_older_opset else softmax(scores)
    assert np.abs(predicted(out, pictures) - expected).max() < 2e-3


def test_the_reference_is_the_file_and_not_what_was_made_of_it(tmp_path: Path) -> None:
    """ONNX Runtime runs its own Identity; put in line, the file's function of that name would win."""

    def change(model: ModelProto) -> None:
        opset = [helper.make_opsetid("", 17)]
        nodes = [helper.make_node("Neg", ["x"], ["y"])]
        model.functions.append(helper.make_function("", "Identity", ["x"], ["y"], nodes, opset))

    file = changed(tmp_path / "theirs.onnx", change)
    result = clsbench.adopt(file, out=tmp_path / "ours.onnx", classes=NAMES, gate_n=4, **STATED)
    assert result.file is None
    assert result.report.blamed == "graph"


def test_a_network_that_leaves_something_to_chance_is_refused(tmp_path: Path) -> None:
    def change(model: ModelProto) -> None:
        noise = helper.make_node("RandomNormalLike", ["raw"], ["noise"], scale=1e-4)
        model.graph.node[-1].CopyFrom(helper.make_node("Add", ["raw", "noise"], ["output"]))
        model.graph.node.insert(len(model.graph.node) - 1, noise)

    file = changed(tmp_path / "theirs.onnx", change)
    with pytest.raises(ModelError, match="other numbers for the same image each time"):
        clsbench.adopt(file, out=tmp_path / "ours.onnx", classes=NAMES, **STATED)


def test_an_output_that_is_a_list_of_tensors_is_left_out(tmp_path: Path) -> None:
    def change(model: ModelProto) -> None:
        model.graph.node.append(helper.make_node("SequenceConstruct", ["raw", "pooled"], ["list"]))
        kind = helper.make_sequence_type_proto(helper.make_tensor_type_proto(TensorProto.FLOAT, None))
        model.graph.output.append(helper.make_value_info("list", kind))

    file = changed(tmp_path / "theirs.onnx", change)
    result = clsbench.adopt(file, out=tmp_path / "ours.onnx", classes=NAMES, gate_n=4, **STATED)
    assert result.proposal.foreign.scores.others == ("list",)
    assert len(result.card.classes) == K


@pytest.mark.parametrize("opset", [7, 8])
def test_an_old_opset_is_kept_where_the_converter_is_wrong(opset: int, tmp_path: Path, pictures: list[Path]) -> None:
    """Hardmax of (N, 8, 1, 1): before 13 over all that follows the axis, since then over the last axis."""

    def change(model: ModelProto) -> None:
        pooled = next(k for k, node in enumerate(model.graph.node) if "pooled" in node.output)
        model.graph.node[pooled].output[0] = "soft"
        model.graph.node.insert(pooled + 1, helper.make_node("Hardmax", ["soft"], ["pooled"], axis=1))
        model.opset_import[0].version = opset

    file, out = changed(tmp_path / "theirs.onnx", change), tmp_path / "ours.onnx"
    result = clsbench.adopt(file, out=out, classes=NAMES, gate_n=4, **STATED)
    assert result.file is not None
    assert np.abs(predicted(out, pictures) - softmax(run(file, prepared(pictures)))).max() < 2e-3


@pytest.mark.parametrize(
    "node",
    [
        helper.make_node("Identity", [], ["x"]),
        helper.make_node("Cast", ["input"], []),
        helper.make_node("Mul", ["input", "text"], ["x"]),
        helper.make_node("Mul", ["input", "odd"], ["x"]),
    ],
)
def test_no_range_is_guessed_from_nodes_that_are_none(node: onnx.NodeProto) -> None:
    odd = onnx.TensorProto(name="odd", data_type=99, dims=[1], raw_data=b"1234")
    text = helper.make_tensor("text", TensorProto.STRING, [1], [b"red"])
    assert guess_range(helper.make_graph([node], "g", [], [], [odd, text]), "input") == {}


def test_a_graph_of_absurd_size_is_refused_before_it_fills_the_memory(tmp_path: Path) -> None:
    file = classifier(tmp_path / "theirs.onnx", sides=(100_000, 100_000))
    with pytest.raises(ModelError, match="too large"):
        clsbench.adopt(file, out=tmp_path / "ours.onnx", classes=NAMES, **STATED)


def test_a_file_that_changes_while_it_is_read_is_refused(tmp_path: Path) -> None:
    file = classifier(tmp_path / "theirs.onnx")

    class Writer(clsbench.Observer):
        def stage(self, name: str, total: int | None = None) -> None:
            classifier(file, seed=1)

    with pytest.raises(ModelError, match="has changed while it was read"):
        clsbench.adopt(file, out=tmp_path / "ours.onnx", classes=NAMES, observer=Writer(), **STATED)
