"""Heatmaps of a network that looks at the top left quarter for one class and at the bottom right for the other."""

import threading
import time
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from pathlib import Path

import numpy as np
import onnx
import pytest
from onnx import TensorProto, helper, numpy_helper

import clsbench
from clsbench.card import METADATA_KEY, ModelCard
from clsbench.inference import explaining
from clsbench.inference.backend import Backend, DeviceInfo
from clsbench.inference.class_activation import ClassActivation
from clsbench.inference.explaining import MASKS, Explainer, _masks
from clsbench.transform import ImageTransform

SIDE, HALF = 16, 8
TRANSFORM = ImageTransform(size=(SIDE, SIDE), mean=(0.0, 0.0, 0.0), std=(1.0, 1.0, 1.0))
CARD = ModelCard(classes=("left", "right"), transform=TRANSFORM)
WEIGHTS, BIAS = np.array([[0.05, -0.01], [0.0, 0.04]], np.float32), np.array([0.3, -0.2], np.float32)

QUARTERS = np.zeros((1, 2, SIDE, SIDE), np.float32)
QUARTERS[0, 0, :HALF, :HALF] = QUARTERS[0, 1, HALF:, HALF:] = 1

#: The last layers that CAM reads, and that it refuses: operators with their inputs from `maps` to `logits`.
EXACT = {
    "Gemm": [("GlobalAveragePool", ["maps"]), ("Flatten", []), ("Gemm", ["transposed", "bias"], {"transB": 1})],
    "Gemm of (D, K)": [("GlobalAveragePool", ["maps"]), ("Flatten", []), ("Gemm", ["weights", "bias"])],
    "Gemm with factors": [
        ("GlobalAveragePool", ["maps"]), ("Flatten", []), ("Gemm", ["weights", "bias"], {"alpha": 0.5, "beta": 2.0}),
    ],
    "MatMul": [("ReduceMean", ["maps", "axes"], {"keepdims": 0}), ("MatMul", ["weights"]), ("Add", ["bias"])],
    "pooled alone": [("GlobalAveragePool", ["maps"]), ("Flatten", [])],
    "kept and reshaped": [
        ("ReduceMean", ["maps", "axes"], {"keepdims": 1}), ("Reshape", ["shape"]), ("Gemm", ["weights", "bias"]),
    ],
}  # fmt: skip
REFUSED = {
    "another pooling": ("GlobalMaxPool", [("GlobalMaxPool", ["maps"]), ("Flatten", []), ("Gemm", ["weights", "bias"])]),
    "a layer between": ("Relu", [("GlobalAveragePool", ["maps"]), ("Flatten", []), ("Relu", []),
                                 ("Gemm", ["weights", "bias"])]),
    "a nonlinear end": ("Tanh", [("GlobalAveragePool", ["maps"]), ("Flatten", []), ("Gemm", ["weights", "bias"]),
                                 ("Tanh", [])]),
    "computed weights": ("computed", [("GlobalAveragePool", ["maps"]), ("Flatten", []), ("Gemm", ["made", "bias"])]),
    "reordered channels": ("differ from the logits", [
        ("GlobalAveragePool", ["maps"]), ("Gather", ["order"], {"axis": 1}), ("Flatten", []),
        ("Gemm", ["weights", "bias"]),
    ]),
}  # fmt: skip


def write(file, layers):
    nodes = [
        helper.make_node("Cast", ["images"], ["float"], to=TensorProto.FLOAT),
        helper.make_node("Transpose", ["float"], ["planes"], perm=[0, 3, 1, 2]),
        helper.make_node("Conv", ["planes", "kernel"], ["channels"]),
        helper.make_node("Mul", ["channels", "quarters"], ["maps"]),
        helper.make_node("Identity", ["weights"], ["same"]),
        helper.make_node("Abs", ["same"], ["made"]),
    ]
    last = None
    for number, (kind, inputs, *options) in enumerate(layers):
        made = "logits" if number + 1 == len(layers) else f"layer{number}"
        nodes.append(helper.make_node(kind, [*([last] if last else []), *inputs], [made], **dict(*options)))
        last = made
    stored = {
        "kernel": np.full((2, 3, 1, 1), 1 / 3, np.float32), "quarters": QUARTERS, "weights": WEIGHTS.T.copy(),
        "transposed": WEIGHTS, "bias": BIAS, "axes": np.array([2, 3]), "shape": np.array([-1, 2]),
        "order": np.array([1, 0]),
    }  # fmt: skip
    graph = helper.make_graph(
        nodes, "quarters",
        [helper.make_tensor_value_info("images", TensorProto.UINT8, ["N", SIDE, SIDE, 3])],
        [helper.make_tensor_value_info("logits", TensorProto.FLOAT, ["N", 2])],
        [numpy_helper.from_array(values, name) for name, values in stored.items()],
    )  # fmt: skip
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 18)], ir_version=10)
    helper.set_model_props(model, {METADATA_KEY: CARD.dumps()})
    onnx.save(model, file)
    return file


class Quarters(Backend):
    """The same network in numpy, which counts its images."""

    device = DeviceInfo(device="cpu", provider="numpy")

    def __init__(self, batch_size=5, streams=2):
        self.batch_size, self.streams, self.images = batch_size, streams, 0

    def __call__(self, images):
        assert len(images) <= self.batch_size
        self.images += len(images)
        return logits_of(images)

    def close(self):
        return None


def logits_of(images):
    grey = images.astype(np.float32).mean(axis=3)
    sums = np.stack([grey[:, :HALF, :HALF].sum(axis=(1, 2)), grey[:, HALF:, HALF:].sum(axis=(1, 2))], axis=1)
    return (sums / SIDE**2 @ WEIGHTS.T + BIAS).astype(np.float32)


def probabilities(images, temperature=1.0):
    logits = logits_of(images).astype(np.float64) / temperature
    return np.exp(logits) / np.exp(logits).sum(axis=1, keepdims=True)


@pytest.fixture
def pixels():
    return np.random.default_rng(3).integers(150, 256, (SIDE, SIDE, 3), np.uint8)


def explain(pixels, method, labels=("left", "right"), card=CARD, **options):
    explainer = Explainer(Path("unused.onnx"), card, Quarters(**options), method=method)
    return {one.label: one for one in explainer(pixels, labels)}


@pytest.mark.parametrize("method", ["occlusion", "rise"])
def test_a_map_is_largest_where_the_class_looks(pixels, method):
    found = explain(pixels, method)
    for label, looked_at in zip(CARD.classes, QUARTERS[0] == 1, strict=True):
        heat = found[label].heatmap
        assert heat.shape == (SIDE, SIDE)
        assert heat.dtype == np.float32
        assert looked_at[found[label].peak]
        assert heat[looked_at].mean() > 2 * abs(heat[~looked_at].mean())


def test_occlusion_is_the_mean_fall_over_the_squares_that_hide_a_pixel(pixels):
    """Squares of 2 pixels, a seventh of 16, that move by one; computed here one at a time."""
    card = replace(CARD, temperature=1.7)
    whole = probabilities(pixels[None], 1.7)[0]
    total, count = np.zeros((SIDE, SIDE, 2)), np.zeros((SIDE, SIDE, 1))
    for top in range(SIDE - 1):
        for left in range(SIDE - 1):
            hidden = pixels.copy()
            hidden[top : top + 2, left : left + 2] = 0
            total[top : top + 2, left : left + 2] += whole - probabilities(hidden[None], 1.7)[0]
            count[top : top + 2, left : left + 2] += 1
    found = explain(pixels, "occlusion", card=card)
    for k, label in enumerate(CARD.classes):
        np.testing.assert_allclose(found[label].heatmap, (total / count)[..., k], atol=1e-7)
        assert found[label].probability == pytest.approx(whole[k])


def test_what_is_hidden_gets_the_colour_that_normalises_to_zero(pixels):
    """With the mean of a flat image nothing is hidden, so nothing changes."""
    card = replace(CARD, transform=replace(TRANSFORM, mean=(0.4, 0.4, 0.4)))
    flat = np.full_like(pixels, 102)
    for method in ("occlusion", "rise"):
        assert np.abs(explain(flat, method, card=card)["left"].heatmap).max() < 1e-9


def test_rise_is_the_mean_probability_where_a_pixel_is_visible(pixels):
    masks = _masks((SIDE, SIDE), 0)(range(MASKS))
    assert 0 <= masks.min() <= masks.max() <= 1
    assert masks.mean() == pytest.approx(0.5, abs=0.02)
    values = probabilities(np.round(masks[..., None] * pixels).astype(np.uint8))[:, 0]
    expected = (values[:, None, None] * masks).sum(axis=0) / masks.sum(axis=0, dtype=np.float64) - values.mean()
    np.testing.assert_allclose(explain(pixels, "rise")["left"].heatmap, expected, atol=1e-7)


@pytest.mark.parametrize("method", ["occlusion", "rise"])
def test_a_map_does_not_depend_on_batches_or_threads(pixels, method):
    one, other = (explain(pixels, method, batch_size=size, streams=n)["left"] for size, n in ((1, 1), (64, 3)))
    np.testing.assert_allclose(one.heatmap, other.heatmap, atol=1e-7)


def test_the_seed_chooses_the_masks(pixels):
    maps = [Explainer(Path("x"), CARD, Quarters(), method="rise", seed=seed)(pixels)[0].heatmap for seed in (0, 0, 1)]
    np.testing.assert_array_equal(maps[0], maps[1])
    assert np.abs(maps[0] - maps[2]).max() > 0


@pytest.mark.parametrize("method", ["occlusion", "rise"])
def test_the_cost_is_known_before_and_reported_while_it_goes(pixels, method):
    backend, heard = Quarters(), []
    explainer = Explainer(Path("x"), CARD, backend, method=method)
    found = explainer(pixels, ["right"], progress=heard.append)
    assert explainer.runs == backend.images == sum(heard) == found[0].runs
    assert len(heard) > 10


@pytest.mark.parametrize("end", EXACT)
def test_cam_splits_the_logit_exactly(tmp_path, pixels, end):
    file = write(tmp_path / "m.onnx", EXACT[end])
    logits, maps = ClassActivation(file, CARD)(pixels)
    grey = QUARTERS[0] * pixels.mean(axis=2)
    scale, shift = (0.5, 2.0) if end == "Gemm with factors" else (1.0, 1.0)
    weights, bias = (np.eye(2), np.zeros(2)) if end == "pooled alone" else (WEIGHTS * scale, BIAS * shift)
    np.testing.assert_allclose(maps, np.tensordot(weights, grey, axes=1), rtol=1e-4, atol=1e-4)
    np.testing.assert_allclose(maps.mean(axis=(1, 2)) + bias, logits, rtol=1e-4)
    with clsbench.load(file, device="cpu") as model:
        found = model.explain(pixels, label="left")
        assert (found.method, found.runs) == ("cam", 1)
        assert QUARTERS[0, 0][found.peak] == 1
        assert found.probability == pytest.approx(model.predict(pixels).probabilities[0], abs=1e-6)


@pytest.mark.parametrize("end", REFUSED)
def test_cam_is_refused_where_it_is_not_exact(tmp_path, pixels, end):
    reason, layers = REFUSED[end]
    file = write(tmp_path / "m.onnx", layers)
    with clsbench.load(file, device="cpu") as model:
        with pytest.raises(clsbench.ModelError, match="no class activation maps") as refused:
            model.explain(pixels, method="cam")
        assert reason in str(refused.value)
        assert model.explain(pixels).method == "occlusion"


def test_the_predicted_class_is_explained_unless_another_is_named(tmp_path, pixels):
    pixels[:HALF, :HALF] = 0
    with clsbench.load(write(tmp_path / "m.onnx", EXACT["Gemm"]), device="cpu") as model:
        found = model.explain(pixels)
        assert found.label == model.predict(pixels).label == "right"
        assert found.to_json()["label"] == "right"
        assert model.explain(pixels, label="left").label == "left"
        np.testing.assert_array_equal(found.pixels, pixels)
        with pytest.raises(clsbench.DataError, match="no such class"):
            model.explain(pixels, label="up")


def test_logits_that_are_not_finite_are_an_error(pixels):
    backend = Quarters()
    backend.__class__ = type("Broken", (Quarters,), {"__call__": lambda self, images: logits_of(images) * np.nan})
    with pytest.raises(clsbench.ModelError, match="not finite"):
        Explainer(Path("x"), CARD, backend, method="occlusion")(pixels)


def test_an_unknown_method_is_wrong_usage(pixels):
    with pytest.raises(clsbench.OptionError, match="unknown method") as refused:
        Explainer(Path("x"), CARD, Quarters(), method="gradcam")
    assert refused.value.facts["expected"] == "auto or cam or occlusion or rise"


def test_threads_that_begin_at_once_share_one_explainer(tmp_path, pixels, monkeypatch):
    opened, together = [], threading.Barrier(4)

    class Slow(Explainer):
        def __init__(self, *arguments, **options):
            opened.append(1)
            time.sleep(0.05)
            super().__init__(*arguments, **options)

    def explained(_):
        together.wait()
        return model.explain(pixels).heatmap

    monkeypatch.setattr(explaining, "Explainer", Slow)
    with clsbench.load(write(tmp_path / "m.onnx", EXACT["Gemm"]), device="cpu") as model, ThreadPoolExecutor(4) as pool:
        first, *others = pool.map(explained, range(4))
    assert len(opened) == 1
    for other in others:
        np.testing.assert_array_equal(other, first)
