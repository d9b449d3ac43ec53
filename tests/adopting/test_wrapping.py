"""The beginning of an adopted graph: normalisation as the card states it, and a Cast before all else."""

from __future__ import annotations

from typing import Literal

import numpy as np
import onnxruntime
import pytest

from clsbench.adopting.graph import ImageInput
from clsbench.adopting.wrapping import normalisation
from clsbench.transform import ImageTransform, normalise


@pytest.mark.parametrize("layout", ["NCHW", "NHWC"])
@pytest.mark.parametrize(("color", "channels"), [("RGB", 3), ("BGR", 3), ("L", 1)])
def test_images_are_cast_before_anything_else_reads_them(
    layout: Literal["NCHW", "NHWC"], color: Literal["RGB", "BGR", "L"], channels: int
) -> None:
    """TensorRT takes uint8 into a Cast alone (NVIDIA/TensorRT#3985)."""
    transform = ImageTransform(size=(4, 5), color=color, mean=(0.1, 0.4, 0.7), std=(0.2, 0.5, 0.3))
    image = ImageInput(name="x", dtype="float", layout=layout, channels=channels, size=transform.size, batch=None)
    model = normalisation(image, transform, 17)
    assert [node.op_type for node in model.graph.node if "images" in node.input] == ["Cast"]
    pixels = np.random.default_rng(0).integers(0, 256, (3, 4, 5, 3), np.uint8)
    session = onnxruntime.InferenceSession(model.SerializeToString(), providers=["CPUExecutionProvider"])
    (got,) = session.run(None, {"images": pixels})
    want = normalise(pixels, transform)[..., :channels]
    np.testing.assert_allclose(got, want.transpose(0, 3, 1, 2) if layout == "NCHW" else want, atol=1e-6)
