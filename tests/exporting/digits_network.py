"""A small network that reads digits, made without torch: fixed convolutions, and a head that is solved for."""

from __future__ import annotations

from functools import cache
from pathlib import Path

import numpy as np
from onnx import TensorProto, helper, numpy_helper
from PIL import Image
from sklearn.datasets import load_digits

from clsbench.api.observer import Observer
from clsbench.card import ModelCard
from clsbench.exporting.gate_images import GateImages
from clsbench.exporting.onnx_export import write_model
from clsbench.exporting.quantizing.onnxruntime_quantizer import OnnxRuntimeQuantizer
from clsbench.exporting.quantizing.proving import Engine, quantize_proved
from clsbench.exporting.quantizing.result import Budget
from clsbench.images.entries import PixelsEntry
from clsbench.model_file import read_card
from clsbench.testing import installed
from clsbench.transform import ImageTransform

#: Channels of both convolutions, and how much larger a planted channel is than the others.
WIDTH, HUGE = 8, 3000.0


def open_cpu(file):
    return installed("backend", "onnxruntime").build(file, "cpu", streams=1, threads=1, batch_size=16)


def pixels_of(images):
    """uint8 (n, 8, 8, 3) of digits (n, 8, 8) from 0 to 16."""
    return np.repeat((images * 15.9).astype(np.uint8)[..., None], 3, axis=3)


def network(weights):
    """images uint8 (N, 8, 8, 3) -> logits float32 (N, 10), by six arrays."""
    nodes = [
        helper.make_node("Cast", ["images"], ["cast"], "cast", to=TensorProto.FLOAT),
        helper.make_node("Transpose", ["cast"], ["planes"], "turn", perm=[0, 3, 1, 2]),
        helper.make_node("Mul", ["planes", "scale"], ["x"], "normalise"),
        helper.make_node("Conv", ["x", "w1", "b1"], ["c1"], "first", pads=[1, 1, 1, 1]),
        helper.make_node("Relu", ["c1"], ["r1"], "relu1"),
        helper.make_node("Conv", ["r1", "w2", "b2"], ["c2"], "second", pads=[1, 1, 1, 1]),
        helper.make_node("Relu", ["c2"], ["r2"], "relu2"),
        helper.make_node("Conv", ["r2", "w3", "b3"], ["c3"], "third"),
        helper.make_node("Relu", ["c3"], ["r3"], "relu3"),
        helper.make_node("Flatten", ["r3"], ["features"], "flat"),
        helper.make_node("Gemm", ["features", "w", "b"], ["logits"], "head"),
    ]
    graph = helper.make_graph(
        nodes, "digits", [helper.make_tensor_value_info("images", TensorProto.UINT8, ["N", 8, 8, 3])],
        [helper.make_tensor_value_info("logits", TensorProto.FLOAT, ["N", 10])],
        [numpy_helper.from_array(np.asarray(value, np.float32), name) for name, value in weights.items()],
    )  # fmt: skip
    return helper.make_model(graph, opset_imports=[helper.make_opsetid("", 18)], ir_version=10)


def planted(weights):
    """The same function with one channel of the first layer's output thousands of times as large as the others."""
    changed = {name: value.copy() for name, value in weights.items()}
    changed["w1"][0] *= HUGE
    changed["b1"][0] *= HUGE
    changed["w2"][:, 0] /= HUGE
    return changed


@cache
def digits():
    """uint8 (1797, 8, 8, 3), and int64 (1797,)."""
    found = load_digits()
    return pixels_of(found.images), found.target.astype(np.int64)


@cache
def trained_weights():
    """The arrays of a network that reads most digits."""
    import onnxruntime

    random, (pixels, labels) = np.random.default_rng(0), digits()

    def layer(outputs, inputs, side):
        return random.normal(size=(outputs, inputs, side, side)).astype(np.float32) / np.sqrt(inputs * side * side / 2)

    bias = np.full(WIDTH, 0.05, np.float32)
    made = {
        "scale": np.float32(1 / 255), "w1": layer(WIDTH, 3, 3), "b1": bias, "w2": layer(WIDTH, WIDTH, 3), "b2": bias,
        "w3": layer(WIDTH, WIDTH, 1), "b3": bias, "w": np.zeros((64 * WIDTH, 10)), "b": np.zeros(10),
    }  # fmt: skip
    bare = network(made)
    bare.graph.output.append(helper.make_tensor_value_info("features", TensorProto.FLOAT, ["N", 64 * WIDTH]))
    session = onnxruntime.InferenceSession(bare.SerializeToString(), providers=["CPUExecutionProvider"])
    (features,) = session.run(["features"], {"images": pixels[:600]})
    # Ridge regression on -1 and 1, in closed form; its scores are stretched to look like logits.
    signs, x = np.where(np.eye(10)[labels[:600]] > 0, 1.0, -1.0), np.c_[features, np.ones(len(features))].astype(float)
    solved = 5 * np.linalg.solve(x.T @ x + 0.1 * np.eye(x.shape[1]), x.T @ signs)
    return {**made, "w": solved[:-1], "b": solved[-1]}


def digits_card():
    transform = ImageTransform(size=(8, 8), crop_fraction=1.0, mean=(0.0, 0.0, 0.0), std=(1.0, 1.0, 1.0))
    return ModelCard(classes=tuple(map(str, range(10))), transform=transform)


def write_digits_network(file: Path, weights=None) -> Path:
    write_model(network(weights or trained_weights()), digits_card(), file)
    return file


def digit_entries():
    """Digits for the ranges, and others, labelled, that judge."""
    pixels, labels = digits()
    made = [PixelsEntry(f"{k}.png", pixels[k]) for k in range(len(pixels))]
    return made[:48], GateImages(made[600:900], labels[600:900])


def digit_folder(folder: Path, first: int, count: int) -> Path:
    """Digits as class folders."""
    pixels, labels = digits()
    for k in range(first, first + count):
        place = folder / str(labels[k])
        place.mkdir(parents=True, exist_ok=True)
        Image.fromarray(pixels[k]).save(place / f"{k}.png")
    return folder


def quantize(file: Path, out: Path, budget=None, *, labelled=True, make=OnnxRuntimeQuantizer):
    """An export to int8, with a short measurement of speed."""
    ranges, judging = digit_entries()
    images = judging if labelled else GateImages(judging.entries)
    engine, budget = Engine(name="onnxruntime", open=open_cpu), budget or Budget(min_speedup=0.0)
    card = read_card(file)
    return quantize_proved(file, card, make, ranges, images, out, engine, budget, window=0.01, heard=Observer())
