"""``clsbench inspect``: a model file's card, and its classes; any other file too."""

import hashlib
import json
from pathlib import Path

import numpy as np
from onnx import TensorProto, helper, numpy_helper, save


def test_classes_are_listed_one_a_line_with_their_names_aligned(cli, tiny_onnx):
    done = cli("inspect", tiny_onnx, "--classes")
    assert done.code == 0, done.stderr
    lines = done.stdout.splitlines()[-3:]
    assert [line.split() for line in lines] == [["0", "red"], ["1", "green"], ["2", "blue"]]
    assert {line[:8].rstrip() for line in lines} == {"0", "1", "2"}


def test_a_file_without_a_card_is_described_with_what_it_lacks(cli):
    weights = numpy_helper.from_array(np.zeros((3, 12), np.float32), "w")
    old = helper.make_tensor_value_info("w", TensorProto.FLOAT, [3, 12])  # older files list weights as inputs
    image = helper.make_tensor_value_info("image\x1b[31m", TensorProto.FLOAT, [1, 3, 2, "width"])
    scores = helper.make_tensor_value_info("scores", TensorProto.FLOAT, [1, 3])
    nodes = [
        helper.make_node("Flatten", ["image\x1b[31m"], ["flat"]),
        helper.make_node("Gemm", ["flat", "w"], ["gemm"], name="\x1b]0;x\x07", transB=1),
        helper.make_node("Softmax", ["gemm"], ["scores"]),
    ]
    graph = helper.make_graph(nodes, "g", [image, old], [scores], [weights])
    save(
        helper.make_model(graph, producer_name="others\x1b[2J", opset_imports=[helper.make_opsetid("", 9)]),
        "theirs.onnx",
    )
    done = cli("inspect", "theirs.onnx", "--classes", "--json", "facts.json")
    assert done.code == 0, done.stderr
    for words in ("no card", "float (1, 3, 2, width)", "ai.onnx 9", "3 nodes", "36 float", "a free batch size N"):
        assert words in done.stdout
    assert "next: clsbench adopt theirs.onnx" in done.stderr
    assert "\x1b" not in done.stdout + done.stderr
    facts = json.loads(Path("facts.json").read_text())
    assert [one["name"] for one in facts["graph"]["inputs"]] == ["image\x1b[31m"]
    assert facts["graph"]["operators"] == {"Flatten": 1, "Gemm": 1, "Softmax": 1}
    assert facts["graph"]["parameter_bytes"] == {"float": 144}
    assert facts["sha256"] == hashlib.sha256(Path("theirs.onnx").read_bytes()).hexdigest()
    assert facts["size"] == Path("theirs.onnx").stat().st_size
    assert len(facts["missing"]) == 6


def test_an_exported_file_lacks_nothing(cli, tiny_onnx):
    done = cli("inspect", tiny_onnx, "--json", "facts.json")
    facts = json.loads(Path("facts.json").read_text())
    assert (done.code, facts["has_card"], facts["missing"]) == (0, True, [])
