"""``export --precision fp16``: half of the bytes, the same contract, and a gate of its own."""

import numpy as np
import onnx
import onnxruntime
import pytest
import torch
from onnx import TensorProto, helper, numpy_helper
from torch import nn

from clsbench.card import ModelCard
from clsbench.exporting.exporter import export_model
from clsbench.exporting.float16 import to_float16
from clsbench.exporting.gate import FLOAT16_TOLERANCE, TOLERANCE, gate_between
from clsbench.model_file import read_card
from clsbench.models.classifier import Classifier
from clsbench.testing import installed

CLASSES = tuple("abcde")


def open_cpu(file):
    return installed("backend", "onnxruntime").build(file, "cpu")


def half_card(network):
    return ModelCard(classes=CLASSES, transform=network.transform, precision="float16")


@pytest.fixture(scope="module")
def exported(network, photos, tmp_path_factory):
    file = tmp_path_factory.mktemp("half") / "model.onnx"
    return export_model(network, half_card(network), photos, file, open_cpu)


def test_weights_are_float16_and_the_contract_is_kept(exported):
    model = onnx.load(exported.file)
    onnx.checker.check_model(model, full_check=True)
    assert {tensor.data_type for tensor in model.graph.initializer} <= {TensorProto.FLOAT16, TensorProto.INT64}
    assert [node.op_type for node in model.graph.node if "images" in node.input] == ["Cast"]
    types = [value.type.tensor_type.elem_type for value in (*model.graph.input, *model.graph.output)]
    assert types == [TensorProto.UINT8, TensorProto.FLOAT, TensorProto.FLOAT]
    assert read_card(exported.file).precision == "float16"


def test_the_gate_has_the_tolerance_of_float16(exported):
    assert exported.report.passed
    assert exported.report.tolerance == FLOAT16_TOLERANCE
    assert 0 < exported.report.max_probability_difference < FLOAT16_TOLERANCE


@pytest.mark.parametrize(
    ("precisions", "tolerance"),
    [
        (("float32", "float32"), TOLERANCE),
        (("float16", "float16"), TOLERANCE),
        (("float32", "float16"), FLOAT16_TOLERANCE),
    ],
)
def test_only_another_precision_is_given_more(precisions, tolerance):
    assert gate_between(*precisions).tolerance == tolerance


class TooLarge(nn.Module):
    """Beyond float16's largest number on the way, and back again."""

    def forward(self, x):
        return (torch.relu(x.mean(dim=(2, 3)) * 3e6) + 1) * 1e-6


def test_an_overflow_is_found_and_blamed_on_the_precision(network, photos, tmp_path):
    classifier = Classifier(TooLarge(), nn.Linear(3, 5), transform=network.transform, feature_dim=3)
    result = export_model(classifier, half_card(network), photos, tmp_path / "model.onnx", open_cpu)
    assert (result.file, result.report.blamed) == (None, "precision")


def test_what_has_no_float16_kernel_stays_float32():
    """The converter puts casts around it at the end of the list; ONNX wants nodes in the order of their inputs."""
    x, y = (helper.make_tensor_value_info(name, TensorProto.FLOAT, ["N", 4]) for name in "xy")
    weights = numpy_helper.from_array(np.full(4, 0.1, np.float32), "w")
    nodes = [
        helper.make_node("Mul", ["x", "w"], ["a"], name="first"),
        helper.make_node("CumSum", ["a", "axis"], ["b"], name="sum"),
        helper.make_node("Add", ["b", "w"], ["y"], name="last"),
    ]
    axis = numpy_helper.from_array(np.array(1, np.int64), "axis")
    graph = helper.make_graph(nodes, "g", [x], [y], [weights, axis])
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 20)], ir_version=10)
    half = to_float16(model)
    onnx.checker.check_model(half, full_check=True)
    session = onnxruntime.InferenceSession(half.SerializeToString(), providers=["CPUExecutionProvider"])
    given = np.arange(8, dtype=np.float32).reshape(2, 4)
    np.testing.assert_allclose(session.run(None, {"x": given})[0], np.cumsum(given * 0.1, 1) + 0.1, rtol=2e-3)
