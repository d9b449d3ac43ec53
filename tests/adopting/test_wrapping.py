"""The beginning of an adopted graph: normalisation as the card states it, and a Cast before all else."""

from __future__ import annotations

from pathlib import Path
from typing import Literal

import numpy as np
import onnxruntime
import pytest

from clsbench.adopting.graph import load_graph, read_input
from clsbench.adopting.scores import Scores
from clsbench.adopting.wrapping import beginning, wrap
from clsbench.onnx_file import read_onnx
from clsbench.transform import ImageTransform, normalise
from tests.adopting.foreign_models import H, K, W, classifier


@pytest.mark.parametrize("one_by_one", [False, True])
@pytest.mark.parametrize("layout", ["NCHW", "NHWC"])
@pytest.mark.parametrize(("color", "channels"), [("RGB", 3), ("BGR", 3), ("L", 1)])
def test_images_are_cast_before_anything_else_reads_them(
    layout: str, color: Literal["RGB", "BGR", "L"], channels: int, one_by_one: bool, tmp_path: Path
) -> None:
    """TensorRT takes uint8 into a Cast alone (NVIDIA/TensorRT#3985)."""
    transform = ImageTransform(size=(H, W), color=color, mean=(0.1, 0.4, 0.7), std=(0.2, 0.5, 0.3))
    file = classifier(tmp_path / "foreign.onnx", layout=layout, channels=channels)
    image, scores = read_input(read_onnx(file), file), Scores(output="output", kind="logits", count=K)
    wrapped = wrap(load_graph(file), image, scores, transform, one_by_one=one_by_one)
    assert [node.op_type for node in wrapped.graph.node if "images" in node.input] == ["Cast"]
    pixels = np.random.default_rng(0).integers(0, 256, (3, H, W, 3), np.uint8)
    model = beginning(wrapped, image)
    session = onnxruntime.InferenceSession(model.SerializeToString(), providers=["CPUExecutionProvider"])
    (got,) = session.run(None, {"images": pixels})
    want = normalise(pixels, transform)[..., :channels]
    np.testing.assert_allclose(got, want.transpose(0, 3, 1, 2) if layout == "NCHW" else want, atol=1e-6)


def test_another_graph_has_no_such_beginning(tmp_path: Path) -> None:
    file = classifier(tmp_path / "foreign.onnx")
    assert beginning(load_graph(file), read_input(read_onnx(file), file)) is None
