"""The images and the model that the rules use, made in code, the same on every machine."""

from __future__ import annotations

import io
from collections.abc import Sequence
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from clsbench.card import FEATURES_NAME, INPUT_NAME, METADATA_KEY, OUTPUT_NAME, ModelCard
from clsbench.transform import ImageTransform

#: Of the kit's model: a small convolution, D = 4 features, K = 3 classes.
CARD = ModelCard(classes=("cat", "dog", "owl"), transform=ImageTransform(size=(6, 10)), feature_dim=4)


def noise(count: int, size: Sequence[int], *, seed: int = 0) -> NDArray[np.uint8]:
    """uint8 (count, h, w, 3) of noise."""
    return np.random.default_rng(seed).integers(0, 256, (count, *size, 3), dtype=np.uint8)


def images_for(card: ModelCard, count: int) -> NDArray[np.uint8]:
    """The kit's images in the size a model wants: uint8 (count, h, w, 3)."""
    return noise(count, card.transform.size)


def write_model(file: Path, card: ModelCard = CARD, *, classes: int = 3) -> Path:
    """Write the kit's model, uint8 (N, 6, 10, 3) -> logits (N, K) and features (N, 4).

    Args:
        file: The .onnx file.
        card: What it says about itself; with more or fewer classes than the graph has, the file is wrong.
        classes: K of the graph.
    """
    from onnx import TensorProto, helper, numpy_helper, save

    random = np.random.default_rng(0)
    weights = {
        "kernel": random.normal(size=(4, 3, 3, 3)) / 255,
        "matrix": random.normal(size=(4, classes)),
        "bias": random.normal(size=classes),
    }
    height, width = CARD.transform.size
    graph = helper.make_graph(
        [
            helper.make_node("Cast", [INPUT_NAME], ["float"], to=TensorProto.FLOAT),
            helper.make_node("Transpose", ["float"], ["planes"], perm=[0, 3, 1, 2]),
            helper.make_node("Conv", ["planes", "kernel"], ["convolved"], pads=[1, 1, 1, 1], strides=[2, 2]),
            helper.make_node("Relu", ["convolved"], ["rectified"]),
            helper.make_node("GlobalAveragePool", ["rectified"], ["pooled"]),
            helper.make_node("Flatten", ["pooled"], [FEATURES_NAME]),
            helper.make_node("Gemm", [FEATURES_NAME, "matrix", "bias"], [OUTPUT_NAME]),
        ],
        "kit",
        [helper.make_tensor_value_info(INPUT_NAME, TensorProto.UINT8, ["N", height, width, 3])],
        [
            helper.make_tensor_value_info(OUTPUT_NAME, TensorProto.FLOAT, ["N", classes]),
            helper.make_tensor_value_info(FEATURES_NAME, TensorProto.FLOAT, ["N", 4]),
        ],
        [numpy_helper.from_array(value.astype(np.float32), name) for name, value in weights.items()],
    )
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=10)
    helper.set_model_props(model, {METADATA_KEY: card.dumps()})
    save(model, file)
    return file


def encoded(pixels: NDArray[np.uint8], form: str = "PNG", mode: str = "RGB", **options: object) -> bytes:
    """Pixels uint8 (H, W, 3) as an encoded image.

    Raises:
        OSError, KeyError: if this Pillow cannot write the format, or not in that mode.
    """
    from PIL import Image

    file = io.BytesIO()
    Image.fromarray(pixels).convert(mode).save(file, form, **options)
    return file.getvalue()


def smooth(height: int, width: int, *, seed: int = 0) -> NDArray[np.uint8]:
    """uint8 (height, width, 3): soft spots of colour, as photos have them."""
    from PIL import Image

    coarse = Image.fromarray(noise(1, (3, 4), seed=seed)[0])
    return np.asarray(coarse.resize((width, height), Image.Resampling.BICUBIC))
