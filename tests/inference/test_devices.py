import ctypes
import os
from dataclasses import replace
from types import SimpleNamespace

import onnx
import onnxruntime
import pytest
from onnx import numpy_helper

from clsbench.errors import DeviceError, DeviceMemoryError, ModelError, OptionError
from clsbench.inference import devices, onnxruntime_backend, sessions
from clsbench.inference.cuda_driver import Driver, Gpu
from clsbench.inference.devices import DeviceRequest, Missing, choose, missing_for, parse_device, strays
from clsbench.inference.onnxruntime_backend import build, gpu_facts
from clsbench.model_file import read_card

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


def test_devices_of_plugin_providers_have_a_name():
    assert parse_device("ep:nv-tensorrt-rtx") == DeviceRequest("ep", (), "nv-tensorrt-rtx")
    assert parse_device("ep:WebGpuExecutionProvider:1") == DeviceRequest("ep", (1,), "WebGpuExecutionProvider")


@pytest.mark.parametrize(
    "text", ["gpu", "cuda:a", "cuda:-1", "cuda:0,", "cpu:0", "auto:1", "", "CUDA", "ep", "ep:", "ep:a/b", "ep:webgpu:x"]
)
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


def test_libraries_of_another_version_are_told_from_missing_ones(machine, monkeypatch):
    machine()

    def load(name, mode=0):
        if "providers_cuda" in name:
            raise OSError(f"{name}: undefined symbol: cuTensorMapEncodeTiled")

    monkeypatch.setattr(ctypes, "CDLL", load)
    assert "do not fit" in missing_for("cuda").what
    assert "update the NVIDIA driver" in missing_for("cuda").remedy


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

        def open_it(content, options, *, providers, enable_fallback):
            """As onnxruntime_inference_collection.py: with its fallback, another session, and a word on stdout."""
            assert enable_fallback == 0
            if isinstance(made, Exception) and providers != [devices.CPU]:
                raise made
            os.write(2, b"\x1b[1;31m2026 [E:onnxruntime:Default, provider_bridge_ort.cc:2195 Get] unhappy\x1b[m\n")
            return made

        monkeypatch.setattr(onnxruntime, "InferenceSession", open_it)

    return answer


def test_a_session_that_fell_back_to_the_cpu_is_an_error_with_what_was_logged(opened, machine, tiny_onnx):
    machine()
    opened(session([devices.CPU]))
    with pytest.raises(DeviceError, match="did not use cuda") as caught:
        sessions.open_session(tiny_onnx, "cuda")
    assert caught.value.facts["got"] == "CPUExecutionProvider: unhappy"


def test_what_is_missing_is_the_reason_where_a_session_fell_back(opened, machine, tiny_onnx):
    machine(missing="libcublas.so.13")
    opened(session([devices.CPU]))
    with pytest.raises(DeviceError, match="libcublas") as caught:
        sessions.open_session(tiny_onnx, "cuda")
    assert "pip install" in caught.value.facts["to do"]


def test_a_device_that_fails_is_told_from_a_file_that_does(opened, machine, tiny_onnx, monkeypatch):
    machine()
    failure = "CUDA failure 36: API call is not supported in the installed CUDA driver"
    opened(RuntimeError(f"provider_info.cc:63 Failed to parse provider option: {failure} ; GPU=-1 ; hostname=vm"))
    with pytest.raises(DeviceError, match="cannot run the network on cuda") as caught:
        sessions.open_session(tiny_onnx, "cuda")
    assert caught.value.facts["got"] == failure
    opened(RuntimeError("CUDA failure 2: out of memory ; GPU=0"))
    with pytest.raises(DeviceMemoryError, match="not enough memory"):
        sessions.open_session(tiny_onnx, "cuda")


def test_auto_takes_the_cpu_where_a_gpu_fails_and_says_why(machine, tiny_onnx, monkeypatch):
    machine()
    real = onnxruntime.InferenceSession

    def open_it(content, options, *, providers, enable_fallback):
        if providers != [devices.CPU]:
            raise RuntimeError("CUDA failure 802: system not yet initialized ; GPU=0")
        return real(content, options, providers=providers, enable_fallback=enable_fallback)

    monkeypatch.setattr(onnxruntime, "InferenceSession", open_it)
    backend = build(tiny_onnx, "auto")
    assert (backend.device.device, backend.shares_cores) == ("cpu", True)
    assert "CUDA failure 802: system not yet initialized" in backend.device.reason
    with pytest.raises(DeviceError, match="cannot run the network"):
        build(tiny_onnx, "cuda")


def test_a_file_that_the_cpu_refuses_too_is_no_failure_of_the_device(machine, tmp_path, monkeypatch):
    machine()
    monkeypatch.setattr(sessions, "preload", lambda: None)
    (tmp_path / "broken.onnx").write_bytes(b"\x08")
    with pytest.raises(ModelError, match="cannot open the model"):
        sessions.open_session(tmp_path / "broken.onnx", "cuda")


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
    assert options == {"device_id": "1", "cudnn_conv_algo_search": "HEURISTIC", "prefer_nhwc": "1", "use_tf32": "1"}


def test_tf32_can_be_forbidden_to_cuda_only():
    (_, options), _ = sessions.provider_options("cuda", 0, tf32=False)
    assert options["use_tf32"] == "0"
    with pytest.raises(OptionError, match="NVIDIA_TF32_OVERRIDE"):
        sessions.provider_options("tensorrt", 0, tf32=False)


@pytest.mark.parametrize(
    ("capability", "override", "allowed", "used"),
    [(9, None, True, True), (7, None, True, False), (9, "0", True, False), (9, None, False, False)],
)
def test_the_facts_say_names_pinned_memory_and_tf32(cuda, monkeypatch, capability, override, allowed, used):
    cuda(names=("NVIDIA H100", "NVIDIA T4"), capability=capability)
    monkeypatch.delenv("NVIDIA_TF32_OVERRIDE", raising=False)
    if override:
        monkeypatch.setenv("NVIDIA_TF32_OVERRIDE", override)
    facts = gpu_facts(DeviceRequest("cuda", (1,)), tf32=allowed)
    assert facts == {"names": ("NVIDIA T4",), "pinned": True, "tf32": used}
    assert gpu_facts(DeviceRequest("cpu"), tf32=allowed) == {}


def test_threads_that_wait_for_a_gpu_sleep_before_the_session_is_opened(cuda, opened, tiny_onnx, monkeypatch):
    driver = cuda()
    opened(session([devices.CUDA]))
    sessions.open_session(tiny_onnx, "cuda")
    assert driver.flags == {0: 0x14}


@pytest.fixture
def asked(opened, monkeypatch, tmp_path):
    """asked(file, **options): what the TensorRT provider is opened with."""
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))

    def options(file, **given):
        opened(session([devices.TENSORRT]))
        open_it, heard = onnxruntime.InferenceSession, []

        def listen(content, options, *, providers, enable_fallback):
            heard.append(providers)
            return open_it(content, options, providers=providers, enable_fallback=enable_fallback)

        monkeypatch.setattr(onnxruntime, "InferenceSession", listen)
        sessions.open_session(file, "tensorrt", **given)
        [[(name, found), (cuda, _), cpu]] = heard
        assert [name, cuda, cpu] == ALL
        return found

    return options


def test_tensorrt_keeps_nothing_where_nothing_can_be_written(asked, tiny_onnx, tmp_path):
    (tmp_path / "cache").touch()
    assert asked(tiny_onnx) == {"device_id": "0"}


def test_tensorrt_keeps_engines_and_timings(asked, tiny_onnx, tmp_path):
    options = asked(tiny_onnx)
    assert options["trt_engine_cache_enable"] == options["trt_timing_cache_enable"] == "1"
    assert options["trt_engine_cache_path"].startswith(str(tmp_path))


def test_networks_of_one_architecture_do_not_share_tensorrts_engines(asked, tiny_onnx, tmp_path):
    """An engine's name has nothing of the weights in it (microsoft/onnxruntime#6455)."""
    other = tmp_path / "other" / tiny_onnx.name
    other.parent.mkdir()
    network = onnx.load(tiny_onnx)
    weights = network.graph.initializer[-1]
    weights.CopyFrom(numpy_helper.from_array(numpy_helper.to_array(weights) + 1, weights.name))
    onnx.save(network, other)
    first, second, again = (asked(file) for file in (tiny_onnx, other, tiny_onnx.read_bytes()))
    assert first["trt_engine_cache_path"] != second["trt_engine_cache_path"]
    assert first["trt_engine_cache_path"] == again["trt_engine_cache_path"]
    assert first["trt_timing_cache_path"] == second["trt_timing_cache_path"]  # times of kernels, whatever the weights


def test_an_engine_of_another_tensorrt_is_not_read(asked, tiny_onnx, monkeypatch):
    folders = set()
    for version in ("10.9.0.34", "10.13.3.9"):
        monkeypatch.setattr(sessions, "gpu_versions", lambda version=version: {"tensorrt-cu13": version})
        folders.add(asked(tiny_onnx)["trt_engine_cache_path"])
    assert len(folders) == 2


def test_tensorrt_is_told_of_float16(asked, tiny_onnx):
    assert "trt_fp16_enable" not in asked(tiny_onnx)
    assert asked(tiny_onnx, float16=True)["trt_fp16_enable"] == "1"


@pytest.mark.parametrize(("precision", "told"), [("float32", False), ("float16", True)])
def test_the_card_says_whether_a_file_is_in_float16(tiny_onnx, monkeypatch, precision, told):
    card = replace(read_card(tiny_onnx), precision=precision)
    monkeypatch.setattr(onnxruntime_backend, "read_card", lambda file: card)
    heard = []

    def open_it(*args, float16, **options):
        heard.append(float16)
        return sessions.open_session(*args, **options)

    monkeypatch.setattr(onnxruntime_backend, "open_session", open_it)
    build(tiny_onnx, "cpu").close()
    assert heard == [told]


def test_a_named_device_reaches_the_user_as_an_error(cli, tiny_onnx, photos, monkeypatch):
    monkeypatch.setattr(devices, "missing_for", lambda kind: Missing("no luck", "pip install luck"))
    done = cli("infer", photos / "val", "--model", tiny_onnx, "--device", "tensorrt")
    assert done.code == 1
    assert "tensorrt cannot be used" in done.stderr
    assert "pip install luck" in done.stderr
