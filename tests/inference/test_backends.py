import dataclasses
from pathlib import Path

import numpy as np
import onnx
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from onnx import TensorProto, helper, numpy_helper

from clsbench.card import METADATA_KEY, ModelCard
from clsbench.errors import DeviceError, ModelError, OptionError
from clsbench.model_file import contract_gaps, read_card
from clsbench.onnx_file import read_onnx
from clsbench.testing import check_backend, images_for, installed
from clsbench.transform import ImageTransform

BACKENDS = ("onnxruntime", "onnx-reference")
CARD = ModelCard(classes=("cat", "dog", "owl"), transform=ImageTransform(size=(6, 10)))

SHAPES = {"features": ["N", 4], "pooled": ["N", 4, 1, 1]}


def write(
    file, card=CARD, *, batch="N", name="images", dtype=TensorProto.UINT8, size=(6, 10), classes=3,
    output="logits", out_dtype=TensorProto.FLOAT, channels_first=False, more=(),
):  # fmt: skip
    """A small network with a convolution; the options break the contract one at a time."""
    random = np.random.default_rng(0)
    weights = {
        "kernel": random.normal(size=(4, 3, 3, 3)) / 255,
        "matrix": random.normal(size=(4, classes)),
        "bias": random.normal(size=classes),
    }
    shape = [batch, 3, *size] if channels_first else [batch, *size, 3]
    nodes = [
        helper.make_node("Cast", [name], ["float"], to=TensorProto.FLOAT),
        helper.make_node("Transpose", ["float"], ["planes"], perm=[0, 1, 2, 3] if channels_first else [0, 3, 1, 2]),
        helper.make_node("Conv", ["planes", "kernel"], ["convolved"], pads=[1, 1, 1, 1], strides=[2, 2]),
        helper.make_node("Relu", ["convolved"], ["rectified"]),
        helper.make_node("GlobalAveragePool", ["rectified"], ["pooled"]),
        helper.make_node("Flatten", ["pooled"], ["features"]),
        helper.make_node("Gemm", ["features", "matrix", "bias"], ["sums"]),
        helper.make_node("Cast", ["sums"], [output], to=out_dtype),
    ]
    graph = helper.make_graph(
        nodes,
        "small",
        [helper.make_tensor_value_info(name, dtype, shape)],
        [
            helper.make_tensor_value_info(output, out_dtype, [batch, classes]),
            *(helper.make_tensor_value_info(other, TensorProto.FLOAT, SHAPES[other]) for other in more),
        ],
        [numpy_helper.from_array(value.astype(np.float32), key) for key, value in weights.items()],
    )
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=10)
    onnx.checker.check_model(model)
    if card is not None:
        helper.set_model_props(model, {METADATA_KEY: card.dumps()})
    onnx.save(model, file)
    return file


@pytest.fixture
def model(tmp_path):
    return write(tmp_path / "small.onnx")


@pytest.mark.parametrize(("tested", "oracle"), [BACKENDS, BACKENDS[::-1]])
def test_the_backends_agree_with_each_other(model, tested, oracle):
    reference = installed("backend", oracle).build(model, "cpu")(images_for(CARD, 5))
    assert reference.std(axis=0).min() > 1e-3
    check_backend(installed("backend", tested), model, reference)


@pytest.mark.parametrize(("tested", "oracle"), [BACKENDS, BACKENDS[::-1]])
@pytest.mark.parametrize("dim", [4, None])
def test_the_backends_agree_on_features_too(tmp_path, tested, oracle, dim):
    file = write(tmp_path / "small.onnx", dataclasses.replace(CARD, feature_dim=dim), more=["features"])
    logits, features = installed("backend", oracle).build(file, "cpu").with_features(images_for(CARD, 5))
    assert features.shape == (5, 4)
    assert features.std(axis=0).min() > 1e-3
    check_backend(installed("backend", tested), file, logits, features)


@pytest.mark.parametrize("name", BACKENDS)
@pytest.mark.parametrize(("dim", "more"), [(4, []), (5, ["features"]), (None, ["pooled"]), (4, ["features", "pooled"])])
def test_features_that_are_not_what_the_card_says_are_refused(tmp_path, name, dim, more):
    file = write(tmp_path / "wrong.onnx", dataclasses.replace(CARD, feature_dim=dim), more=more)
    with pytest.raises(ModelError, match="not what its card says"):
        installed("backend", name).build(file, "cpu")


@pytest.mark.parametrize(
    ("more", "gap"),
    [
        ([], None),
        (["features"], None),
        (["pooled"], "no outputs but logits and features"),
        (["features", "pooled"], "no outputs but logits and features"),
    ],
)
def test_what_a_file_lacks_is_told_of_its_other_outputs_too(tmp_path, more, gap):
    file = write(tmp_path / "small.onnx", more=more)
    assert contract_gaps(read_onnx(file), CARD) == ((gap,) if gap else ())


def test_the_device_is_told(model):
    backend = installed("backend", "onnxruntime").build(model, "cpu")
    assert backend.device.device == "cpu"
    assert backend.device.provider == "CPUExecutionProvider"
    backend.close()


@pytest.mark.parametrize("name", BACKENDS)
@pytest.mark.parametrize(
    "violation",
    [
        {"name": "input"},
        {"output": "scores"},
        {"dtype": TensorProto.FLOAT},
        {"out_dtype": TensorProto.DOUBLE},
        {"out_dtype": TensorProto.FLOAT16},
        {"batch": 1},
        {"size": (10, 6)},
        {"size": ("H", "W")},
        {"classes": 4},
        {"channels_first": True},
    ],
    ids=str,
)
def test_a_graph_that_is_not_what_its_card_says_is_refused(tmp_path, name, violation):
    file = write(tmp_path / "wrong.onnx", **violation)
    with pytest.raises(ModelError, match="not what its card says"):
        installed("backend", name).build(file, "cpu")


@pytest.mark.parametrize("name", BACKENDS)
def test_a_card_with_other_classes_than_the_graph_is_refused(tmp_path, name):
    file = write(tmp_path / "wrong.onnx", dataclasses.replace(CARD, classes=("cat", "dog")))
    with pytest.raises(ModelError, match="not what its card says"):
        installed("backend", name).build(file, "cpu")


@pytest.mark.parametrize(
    ("violation", "hint"),
    [
        ({"classes": 4}, "the network has 4 outputs for 3 classes"),
        ({"size": (10, 6)}, "images of another size or layout"),
        ({"channels_first": True}, "images of another size or layout"),
        ({"name": "input"}, "`clsbench export` did not write this graph"),
        ({"out_dtype": TensorProto.DOUBLE}, "changed after its export, or by another tool"),
    ],
    ids=str,
)
def test_the_hint_fits_what_is_wrong_with_the_graph(tmp_path, violation, hint):
    with pytest.raises(ModelError) as caught:
        installed("backend", "onnxruntime").build(write(tmp_path / "wrong.onnx", **violation), "cpu")
    assert hint in caught.value.facts["to do"]


@pytest.mark.parametrize("name", BACKENDS)
def test_a_file_without_a_card_is_refused(tmp_path, name):
    with pytest.raises(ModelError, match="no clsbench card"):
        installed("backend", name).build(write(tmp_path / "bare.onnx", None), "cpu")


def test_the_card_in_a_file_is_the_one_that_was_written(model):
    assert read_card(model) == CARD


@pytest.mark.parametrize("name", BACKENDS)
@pytest.mark.parametrize("data", [None, b"", b"hello", b"\x08"])
def test_what_is_no_onnx_file_is_refused(tmp_path, name, data):
    if data is not None:
        (tmp_path / "m.onnx").write_bytes(data)
    with pytest.raises(ModelError, match=r"no such model file|not an ONNX file"):
        installed("backend", name).build(tmp_path / "m.onnx", "cpu")


@settings(max_examples=100, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(st.binary(max_size=100))
def test_arbitrary_bytes_are_no_model(tmp_path, data):
    (tmp_path / "m.onnx").write_bytes(data)
    with pytest.raises(ModelError):
        read_card(tmp_path / "m.onnx")


def test_unknown_devices_and_impossible_options_are_refused(model):
    build = installed("backend", "onnxruntime").build
    with pytest.raises(OptionError, match="unknown device"):
        build(model, "tpu")
    for option in ("batch_size", "streams", "threads"):
        with pytest.raises(OptionError, match="at least 1"):
            build(model, "cpu", **{option: 0})


def test_the_reference_has_no_gpu(model):
    with pytest.raises(DeviceError, match="CPU only"):
        installed("backend", "onnx-reference").build(model, "cuda")


@pytest.mark.skipif(Path("/dev/nvidia0").exists(), reason="there is a CUDA device here")
def test_cuda_is_an_error_where_it_cannot_be_used_and_auto_says_why_it_is_not(model):
    with pytest.raises(DeviceError, match="to do: "):
        installed("backend", "onnxruntime").build(model, "cuda")
    backend = installed("backend", "onnxruntime").build(model, "auto")
    assert (backend.device.device, backend.device.requested) == ("cpu", "auto")
    assert backend.device.reason
