import subprocess
import sys
import threading
import time
from pathlib import Path

import numpy as np
import onnx
import pytest
from clsbench_openvino import precision, runtime
from clsbench_openvino.backend import _batch, settings
from onnx import TensorProto, helper, numpy_helper

from clsbench import DeviceError, ImageTransform, ModelCard, ModelError, OptionError, available_cores
from clsbench.card import METADATA_KEY
from clsbench.testing import images_for, installed, plugin_checks

NAME = "openvino/openvino"
CARD = ModelCard(classes=("cat", "dog", "owl"), transform=ImageTransform(size=(10, 8)), feature_dim=4)


def write(file: Path, *, card: ModelCard = CARD, operator: str = "Relu", size: tuple[int, int] = (10, 8)) -> Path:
    """A network of one convolution; its weights are random."""
    random = np.random.default_rng(0)
    shapes = {"kernel": (4, 3, 3, 3), "matrix": (4, 3), "bias": (3,)}
    weights = {name: random.standard_normal(shape).astype(np.float32) for name, shape in shapes.items()}
    nodes = [
        helper.make_node("Cast", ["images"], ["float"], to=TensorProto.FLOAT),
        helper.make_node("Transpose", ["float"], ["planes"], perm=[0, 3, 1, 2]),
        helper.make_node("Mul", ["planes", "scale"], ["scaled"]),
        helper.make_node("Conv", ["scaled", "kernel"], ["convolved"], strides=[2, 2]),
        helper.make_node(operator, ["convolved"], ["rectified"]),
        helper.make_node("GlobalAveragePool", ["rectified"], ["pooled"]),
        helper.make_node("Flatten", ["pooled"], ["features"]),
        helper.make_node("Gemm", ["features", "matrix", "bias"], ["logits"]),
    ]
    graph = helper.make_graph(
        nodes,
        "small",
        [helper.make_tensor_value_info("images", TensorProto.UINT8, ["N", *size, 3])],
        [
            helper.make_tensor_value_info("logits", TensorProto.FLOAT, ["N", 3]),
            helper.make_tensor_value_info("features", TensorProto.FLOAT, ["N", 4]),
        ],
        [
            numpy_helper.from_array(np.float32(1 / 255), "scale"),
            *(numpy_helper.from_array(value, key) for key, value in weights.items()),
        ],
    )
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=10)
    helper.set_model_props(model, {METADATA_KEY: card.dumps()})
    onnx.save(model, file)
    return file


@pytest.fixture(scope="module")
def model(tmp_path_factory):
    return write(tmp_path_factory.mktemp("openvino") / "small.onnx")


@pytest.fixture(scope="module")
def reference(model):
    """Logits and features of ONNX's own evaluator."""
    return installed("backend", "onnx-reference").build(model, "cpu").with_features(images_for(CARD, 5))


def opened(file, device="cpu", **options):
    return installed("backend", NAME).build(file, device, **options)


def can(capability):
    return capability in runtime.core().get_property("CPU", "OPTIMIZATION_CAPABILITIES")


@pytest.mark.parametrize("check", plugin_checks("openvino"), ids=str)
def test_plugin(check):
    check()


def test_every_batch_size_gives_the_same(model, reference):
    backend, images = opened(model), images_for(CARD, 5)
    for size in range(1, 6):
        np.testing.assert_allclose(backend(images[:size]), reference[0][:size], rtol=1e-3, atol=1e-4)
    assert backend(images[:0]).shape == (0, 3)
    assert backend.with_features(images[:0])[1].shape == (0, 4)
    np.testing.assert_array_equal(backend(images[::2]), backend(np.ascontiguousarray(images[::2])))


def test_calls_at_once_have_their_own_results(model, reference):
    backend, images, found = opened(model), images_for(CARD, 5), {}

    def call(row):
        for _ in range(50):
            found.setdefault(row, []).append(backend(images[row : row + 1])[0])

    threads = [threading.Thread(target=call, args=(row,)) for row in range(5)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    for row, logits in found.items():
        np.testing.assert_allclose(np.stack(logits), np.tile(reference[0][row], (50, 1)), rtol=1e-3, atol=1e-4)


def test_float32_is_what_one_gets_without_asking(model):
    device = opened(model).device
    assert (device.device, device.precision, device.indices) == ("cpu", "float32", ())
    assert device.provider.startswith("OpenVINO 20")


def test_bfloat16_has_to_be_asked_for(model, reference):
    if not can("BF16"):
        with pytest.raises(DeviceError, match="does not compute in bfloat16"):
            opened(model, precision="bf16")
        return
    backend = opened(model, precision="bf16")
    assert (backend.device.precision, backend.batch_size) == ("bfloat16", 8)
    difference = np.abs(backend(images_for(CARD, 5)) - reference[0]).max()
    assert 1e-4 < difference < 0.1


def test_a_precision_that_the_cpu_does_not_have_is_an_error():
    with pytest.raises(DeviceError, match="cpu does not compute in bfloat16") as error:
        precision.check_capability("bf16", "CPU", ["FP32", "INT8"])
    assert error.value.facts["expected"] == "float32"
    assert error.value.facts["to do"] == "--with backend.precision=f32"


def test_shorter_numbers_are_computed_in_larger_batches():
    transform = ImageTransform(size=(8, 8))
    float32, int8 = (ModelCard(classes=("a", "b"), transform=transform, precision=p) for p in ("float32", "int8"))
    sizes = [_batch(float32, "f32"), _batch(float32, "bf16"), _batch(int8, "f32"), _batch(int8, "bf16")]
    assert sizes == [4, 8, 16, 16]


class Fact(str):
    def astype(self, kind):
        return kind(self)


class Layer:
    def __init__(self, **facts):
        self.facts = {key: Fact(value) for key, value in facts.items()}

    def get_rt_info(self):
        return self.facts


class Compiled:
    """Of a CompiledModel what says in which precision it computes."""

    def __init__(self, *layers):
        self.layers = [Layer(layerType=kind, runtimePrecision=precision) for kind, precision in layers]

    def get_runtime_model(self):
        return self

    def get_ordered_ops(self):
        return [Layer(), *self.layers]


def test_the_precision_is_that_of_the_layers_that_work():
    mixed = Compiled(("Const", "f32"), ("Convolution", "u8"), ("Convolution", "i8"), ("FullyConnected", "bf16"))
    assert precision.prove(mixed, "bf16") == "int8+bfloat16"


def test_layers_in_another_precision_than_was_asked_for_are_an_error():
    with pytest.raises(DeviceError, match="not compute in float32 although") as error:
        precision.prove(Compiled(("Convolution", "bf16"), ("MatMul", "f32")), "f32")
    assert error.value.facts["got"] == "bfloat16+float32"


def test_a_device_that_is_not_there_is_an_error_that_lists_those_that_are(model, monkeypatch):
    machine(monkeypatch, CPU="A CPU")
    with pytest.raises(DeviceError, match="OpenVINO lists no gpu:1 here") as error:
        opened(model, "gpu:1")
    assert error.value.facts["got"] == "cpu (A CPU)"
    assert "compute runtime" in error.value.facts["to do"]


@pytest.mark.parametrize("device", ["cuda", "gpu:x", "cpu:0", "ep:webgpu", ""])
def test_what_is_no_device_of_openvino_is_an_error(model, device):
    with pytest.raises(OptionError, match="unknown device"):
        opened(model, device)


def machine(monkeypatch, cards=(), **devices):
    """Let OpenVINO list these devices, by their names; ``cards`` are no part of the processor."""

    class Core:
        def __init__(self):
            self.available_devices = list(devices)

        def get_property(self, name, key):
            kinds = runtime.openvino().properties.device.Type
            return {
                "FULL_DEVICE_NAME": devices[name],
                "DEVICE_TYPE": kinds.DISCRETE if name in cards else kinds.INTEGRATED,
            }[key]

    monkeypatch.setattr(runtime, "core", Core)


@pytest.mark.parametrize(
    ("asked", "listed", "cards", "found"),
    [
        ("gpu", ["CPU", "GPU"], [], "GPU"),
        ("gpu:0", ["CPU", "GPU"], [], "GPU"),
        ("gpu", ["CPU", "GPU.0", "GPU.1"], [], "GPU.0"),
        ("gpu:1", ["CPU", "GPU.0", "GPU.1"], [], "GPU.1"),
        ("npu", ["CPU", "NPU"], [], "NPU"),
        ("auto", ["CPU", "GPU"], [], "CPU"),
        ("auto", ["CPU", "GPU.0", "GPU.1"], ["GPU.1"], "GPU.1"),
    ],
)
def test_devices_are_found_by_our_names(monkeypatch, asked, listed, cards, found):
    machine(monkeypatch, cards, **dict.fromkeys(listed, "Intel"))
    assert runtime.settle(asked) == found


def test_streams_threads_and_batches_can_be_given(model):
    backend = opened(model, streams=1, threads=1, batch_size=7)
    assert (backend.streams, backend.threads, backend.batch_size) == (1, 1, 7)
    backend = opened(model)
    assert backend.streams * backend.threads == available_cores()
    with pytest.raises(OptionError, match="not run as many threads as asked for"):
        opened(model, streams=2 * available_cores(), threads=2)
    assert settings("GPU.0", "f16", 2, None)["NUM_STREAMS"] == 2
    for option in ("streams", "threads", "batch_size"):
        with pytest.raises(OptionError, match=f"{option} must be at least 1"):
            opened(model, **{option: 0})


def test_rubbish_is_refused(tmp_path):
    file = tmp_path / "rubbish.onnx"
    file.write_bytes(b"\x08\x07rubbish")
    with pytest.raises(ModelError):
        opened(file)


def test_an_operator_without_a_rule_is_named(tmp_path):
    with pytest.raises(ModelError, match="OpenVINO cannot open the model") as error:
        opened(write(tmp_path / "odd.onnx", operator="Nonsense"))
    assert "Nonsense" in error.value.facts["got"]


def test_a_graph_that_is_not_what_its_card_says_is_refused(tmp_path):
    with pytest.raises(ModelError, match="not what its card says"):
        opened(write(tmp_path / "wrong.onnx", size=(8, 10)))


def test_a_call_can_be_interrupted_and_later_ones_work(model):
    backend, failures = opened(model, streams=1), []
    images = np.zeros((20_000, 10, 8, 3), np.uint8)

    def call():
        try:
            while True:
                backend(images)
        except RuntimeError as error:
            failures.append(str(error))

    thread = threading.Thread(target=call)
    thread.start()
    while thread.is_alive():
        time.sleep(0.01)
        backend.interrupt()
    assert "cancel" in failures[0].lower()
    assert backend(images[:2]).shape == (2, 3)


def test_nothing_is_sent_or_left_behind(model, tmp_path):
    """OpenVINO's own import sends an event and writes ~/intel; see clsbench_openvino/runtime.py."""
    code = """
        import socket, sys
        def refuse(*_): raise SystemExit("a connection was tried")
        socket.socket.connect = socket.getaddrinfo = refuse
        from pathlib import Path
        from clsbench.testing import installed
        installed("backend", "openvino/openvino").build(Path(sys.argv[1]), "cpu")
        print("openvino" in sys.modules, "openvino_telemetry" in sys.modules)
    """
    lines = "\n".join(line.strip() for line in code.splitlines())
    done = subprocess.run(
        [sys.executable, "-c", lines, str(model)], env={"HOME": str(tmp_path), "PYTHONPATH": ":".join(sys.path)},
        capture_output=True, text=True, check=True,
    )  # fmt: skip
    assert done.stdout.split() == ["True", "False"]
    assert done.stderr == ""
    assert not list(tmp_path.iterdir())


def test_looking_the_plugin_up_does_not_import_openvino():
    code = "import sys; from clsbench.testing import installed as i; i('backend', 'openvino/openvino')"
    code += "; print('openvino' in sys.modules)"
    done = subprocess.run(
        [sys.executable, "-c", code], env={"PYTHONPATH": ":".join(sys.path)}, capture_output=True, text=True, check=True
    )
    assert done.stdout.strip() == "False"
