"""ONNX Runtime computes what the file says."""

import numpy as np
import onnx
import pytest
from onnx import TensorProto, helper

from clsbench.inference.sessions import open_session, wrong_optimizers


@pytest.fixture
def padded(tmp_path):
    """A Pad of zeros around a MaxPool, as BiT has them."""
    nodes = [
        helper.make_node("Pad", ["x", "pads"], ["wide"]),
        helper.make_node("MaxPool", ["wide"], ["y"], kernel_shape=[3, 3], strides=[3, 3]),
    ]
    pads = helper.make_tensor("pads", TensorProto.INT64, [8], [0, 0, 1, 1, 0, 0, 1, 1])
    given, made = (
        helper.make_tensor_value_info(name, TensorProto.FLOAT, [1, 1, n, n]) for name, n in (("x", 4), ("y", 2))
    )
    graph = helper.make_graph(nodes, "pool", [given], [made], [pads])
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 18)], ir_version=10)
    onnx.save(model, tmp_path / "padded.onnx")
    return tmp_path / "padded.onnx"


@pytest.mark.parametrize("read", [lambda file: file, lambda file: file.read_bytes()], ids=["a file", "bytes"])
def test_zeros_around_negative_numbers_are_their_maximum(padded, read):
    session = open_session(read(padded), "cpu")
    (found,) = session.run(None, {"x": np.full((1, 1, 4, 4), -3, np.float32)})
    assert not found.any()


def test_other_graphs_are_optimised_in_full(tiny_onnx):
    assert wrong_optimizers(tiny_onnx) == []
