import ctypes
from types import SimpleNamespace

import onnxruntime
import pytest

from clsbench.errors import DeviceError, OptionError
from clsbench.inference import devices, sessions
from clsbench.inference.cuda_driver import Driver, Gpu
from clsbench.inference.devices import DeviceRequest, Missing, choose, missing_for, parse_device, strays

ALL = [devices.TENSORRT, devices.CUDA, devices.CPU]


GPU = Gpu("NVIDIA H100", 9)


@pytest.fixture
def machine(monkeypatch):
    """machine(providers=…, driver=…, missing=…): what ONNX Runtime, the driver and the loader answer.

    Without cuDNN the provider's own library loads, which opens it late: ``readelf -d`` of 1.31.1's does not list it.
    """

    def answer(*, providers=ALL, driver=Driver((13, 0), (GPU,)), missing=None):
        monkeypatch.setattr(onnxruntime, "get_available_providers", lambda: list(providers))
        monkeypatch.setattr(onnxruntime, "cuda_version", "13.0")
        monkeypatch.setattr(devices, "find_driver", lambda: driver)
        monkeypatch.setattr(devices, "preload", lambda: None)

        def load(name, mode=0):
            if missing and (
                "cudnn" in missing if "cudnn" in name else "cudnn" not in missing and "_shared" not in name
            ):
                raise OSError(f"{missing}: cannot open shared object file: No such file or directory")

        monkeypatch.setattr(ctypes, "CDLL", load)

    return answer


@pytest.mark.parametrize(
    ("text", "kind", "indices"),
    [
        ("auto", "auto", ()),
        ("cpu", "cpu", ()),
        ("cuda", "cuda", ()),
        ("cuda:1,0", "cuda", (1, 0)),
        ("cuda:1,1", "cuda", (1,)),
        ("tensorrt:2", "tensorrt", (2,)),
    ],
)
def test_devices_are_read(text, kind, indices):
    assert parse_device(text) == DeviceRequest(kind, indices)


@pytest.mark.parametrize("text", ["gpu", "cuda:a", "cuda:-1", "cuda:0,", "cpu:0", "auto:1", "", "CUDA"])
def test_other_devices_are_refused(text):
    with pytest.raises(OptionError, match="unknown device"):
        parse_device(text)


@pytest.mark.parametrize(
    ("answers", "what", "remedy"),
    [
        ({"providers": [devices.CPU]}, "built without cuda", "pip install 'clsbench[cuda]'"),
        ({"driver": None}, "no NVIDIA driver", "--device cpu"),
        ({"driver": Driver((13, 0))}, "shows no device", "CUDA_VISIBLE_DEVICES"),
        ({"driver": Driver((12, 8), (GPU,))}, "supports CUDA 12.8, and this onnxruntime needs 13.0", "580 or newer"),
        ({"driver": Driver((12, 8), error=803)}, "different versions", "reboot"),
        ({"driver": Driver((13, 0), error=999, error_name="CUDA_ERROR_UNKNOWN")}, "CUDA_ERROR_UNKNOWN", "nvidia-smi"),
        ({"missing": "libcurand.so.10"}, "libcurand.so.10", "pip install 'clsbench[cuda]'"),
        ({"missing": "libcudnn.so.9"}, "cuDNN 9 is missing: libcudnn.so.9", "nvidia-cudnn-cu13>=9,<10"),
    ],
)
def test_what_is_missing_is_named_with_what_mends_it(machine, answers, what, remedy):
    machine(**answers)
    missing = missing_for("cuda")
    assert missing is not None
    assert what in missing.what
    assert remedy in missing.remedy
    with pytest.raises(DeviceError, match="cuda cannot be used") as caught:
        choose(DeviceRequest("cuda"))
    assert remedy in str(caught.value)
    device, reason = choose(DeviceRequest("auto"))
    assert device == DeviceRequest("cpu")
    assert what in str(reason)


@pytest.mark.parametrize(
    ("driver", "absent"),
    [(None, True), (Driver((13, 0)), True), (Driver((12, 0), (GPU,)), False), (Driver((13, 0), error=803), False)],
)
def test_a_machine_without_a_gpu_is_told_from_a_broken_one(machine, driver, absent):
    machine(driver=driver)
    assert missing_for("cuda").absent == absent


def test_a_missing_tensorrt_asks_for_version_10(machine):
    machine(missing="libnvinfer.so.10")
    missing = missing_for("tensorrt")
    assert missing is not None
    assert "<11" in missing.remedy


def test_cuda_takes_every_visible_gpu_or_those_that_are_named(machine):
    machine(driver=Driver((13, 0), (GPU, GPU, GPU)))
    assert choose(DeviceRequest("cuda"))[0].indices == (0, 1, 2)
    assert choose(DeviceRequest("cuda", (2,)))[0].indices == (2,)
    assert choose(DeviceRequest("auto"))[0] == DeviceRequest("cuda", (0, 1, 2))
    with pytest.raises(DeviceError, match="no such GPU"):
        choose(DeviceRequest("cuda", (3,)))


def session(used, nodes=()):
    parts = [
        SimpleNamespace(ep_name=provider, get_nodes=lambda op=op: [SimpleNamespace(name=f"n_{op}", op_type=op)])
        for provider, op in nodes
    ]
    return SimpleNamespace(get_providers=lambda: list(used), get_provider_graph_assignment_info=lambda: parts)


def test_only_compute_nodes_on_the_cpu_are_strays():
    nodes = [(devices.CUDA, "Conv"), (devices.CPU, "Shape"), (devices.CPU, "Gather"), (devices.CPU, "MatMul")]
    assert strays(session(ALL, nodes)) == ["n_MatMul (MatMul)"]


@pytest.fixture
def opened(monkeypatch):
    """What InferenceSession gives back, whatever is asked for."""

    def answer(made):
        monkeypatch.setattr(sessions, "preload", lambda: None)
        monkeypatch.setattr(onnxruntime, "InferenceSession", lambda *args, **kwargs: made)

    return answer


def test_a_session_that_fell_back_to_the_cpu_is_an_error(opened, tiny_onnx):
    opened(session([devices.CPU]))
    with pytest.raises(DeviceError, match="did not use cuda"):
        sessions.open_session(tiny_onnx, "cuda")


def test_a_session_with_compute_on_the_cpu_is_an_error_unless_it_is_accepted(opened, tiny_onnx):
    opened(session([devices.CUDA, devices.CPU], [(devices.CPU, "Conv")]))
    with pytest.raises(DeviceError, match="1 compute node of") as caught:
        sessions.open_session(tiny_onnx, "cuda")
    assert "n_Conv (Conv)" in str(caught.value)
    assert "--allow-fallback" in str(caught.value)
    assert sessions.open_session(tiny_onnx, "cuda", allow_fallback=True)


def test_the_cuda_provider_searches_heuristically_in_nhwc():
    (name, options), last = sessions.provider_options("cuda", 1)
    assert (name, last) == (devices.CUDA, devices.CPU)
    assert options == {"device_id": "1", "cudnn_conv_algo_search": "HEURISTIC", "prefer_nhwc": "1"}


def test_tensorrt_keeps_nothing_where_nothing_can_be_written(monkeypatch, tmp_path):
    (tmp_path / "taken").touch()
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "taken"))
    (_, options), *_ = sessions.provider_options("tensorrt", 0)
    assert options == {"device_id": "0"}


def test_tensorrt_keeps_engines_and_timings(monkeypatch, tmp_path):
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    (name, options), cuda, _ = sessions.provider_options("tensorrt", 0)
    assert (name, cuda[0]) == (devices.TENSORRT, devices.CUDA)
    assert options["trt_engine_cache_enable"] == options["trt_timing_cache_enable"] == "1"
    assert options["trt_engine_cache_path"].startswith(str(tmp_path))


def test_a_named_device_reaches_the_user_as_an_error(cli, tiny_onnx, photos, monkeypatch):
    monkeypatch.setattr(devices, "missing_for", lambda kind: Missing("no luck", "pip install luck"))
    done = cli("infer", photos / "val", "--model", tiny_onnx, "--device", "tensorrt")
    assert done.code == 1
    assert "tensorrt cannot be used" in done.stderr
    assert "pip install luck" in done.stderr
