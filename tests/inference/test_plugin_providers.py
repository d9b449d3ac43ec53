"""With fakes that behave as onnxruntime 1.31.1 was seen to with onnxruntime-ep-openvino 1.8.1 and -webgpu 0.4.0."""

import sys
from types import SimpleNamespace

import numpy as np
import onnxruntime
import pytest

from clsbench.errors import DeviceError, ModelError, OptionError
from clsbench.inference import diagnostics, plugin_providers
from clsbench.inference.devices import CPU, DeviceRequest
from clsbench.inference.onnxruntime_backend import build
from clsbench.inference.plugin_providers import Padded, find_device

WEBGPU = "WebGpuExecutionProvider"


def device(name, kind="GPU", vendor="NVIDIA", **metadata):
    return SimpleNamespace(
        ep_name=name, device=SimpleNamespace(type=SimpleNamespace(name=kind), vendor=vendor, metadata=metadata)
    )


class Runtime:
    """ONNX Runtime's side: libraries that are loaded bring their devices, and the CPU's own is always listed."""

    def __init__(self, monkeypatch):
        self.libraries, self.registered, self.devices = {}, {}, [device(CPU, "CPU", "AMD")]
        self.assigned = [(WEBGPU, "Conv")]
        self.failure = None
        real_session = onnxruntime.InferenceSession

        class Options(onnxruntime.SessionOptions):
            """The real ones; devices of fake providers are noted."""

            used = None

            def add_provider_for_devices(options, devices, settings):
                assert devices, "Must provide one or more OrtEpDevice instances."
                options.used = devices[0]

        def session(content, options, providers=None, *, enable_fallback):
            if options.used is None:
                return real_session(content, options, providers=providers, enable_fallback=enable_fallback)
            assert providers is None, "they would take precedence over those of the options"
            if self.failure:
                raise self.failure
            made = real_session(content, options, providers=[CPU], enable_fallback=enable_fallback)
            made.get_providers = lambda: [name for name, _ in self.assigned] + [CPU]
            made.get_provider_graph_assignment_info = lambda: [
                SimpleNamespace(ep_name=name, get_nodes=lambda op=op: [SimpleNamespace(name=f"n_{op}", op_type=op)])
                for name, op in self.assigned
            ]
            return made

        monkeypatch.setattr(onnxruntime, "register_execution_provider_library", self.register)
        monkeypatch.setattr(onnxruntime, "get_ep_devices", lambda: list(self.devices))
        monkeypatch.setattr(onnxruntime, "SessionOptions", Options)
        monkeypatch.setattr(onnxruntime, "InferenceSession", session)

    def register(self, name, path):
        if path in self.registered:
            raise RuntimeError(f"[ONNXRuntimeError] : 1 : FAIL : EP library is already registered under {name}")
        if path not in self.libraries:
            raise RuntimeError(f"[ONNXRuntimeError] : 1 : FAIL : Failed to load library {path} with error: no")
        self.registered[path] = name
        self.devices += self.libraries[path]


@pytest.fixture
def runtime(monkeypatch):
    return Runtime(monkeypatch)


@pytest.fixture
def package(tmp_path, monkeypatch):
    """package("webgpu"): install onnxruntime-ep-webgpu, whose library has that path."""
    monkeypatch.syspath_prepend(str(tmp_path / "site"))

    def install(name, code=None):
        module, library = f"onnxruntime_ep_{name.replace('-', '_')}", f"/lib/{name}.so"
        folder = tmp_path / "site" / module
        folder.mkdir(parents=True)
        (folder / "__init__.py").write_text(code or f"def get_library_path(): return {library!r}\n", encoding="utf-8")
        monkeypatch.delitem(sys.modules, module, raising=False)
        return library

    return install


def test_a_package_is_found_by_its_name_and_by_its_providers(runtime, package):
    runtime.libraries[package("nv-tensorrt-rtx")] = [device("NvTensorRTRTXExecutionProvider")]
    assert "nv-tensorrt-rtx" in plugin_providers.installed()
    for name in ("nv-tensorrt-rtx", "NvTensorRTRTXExecutionProvider"):
        found = find_device(DeviceRequest("ep", (), name))
        assert (found.provider, found.kind, found.index) == ("NvTensorRTRTXExecutionProvider", "gpu", 0)
    assert len(runtime.registered) == 1


def test_a_library_can_be_named(runtime, tmp_path):
    library = tmp_path / "libodd.so"
    library.touch()
    runtime.libraries[str(library)] = [device("OddExecutionProvider"), device("OddExecutionProvider", "NPU", "Intel")]
    for _ in range(2):
        assert find_device(DeviceRequest("ep", (1,), "odd"), library).name == "Intel NPU"
    with pytest.raises(DeviceError, match="no device 2") as error:
        find_device(DeviceRequest("ep", (2,), "odd"), library)
    assert error.value.facts["expected"] == "0: NVIDIA GPU, 1: Intel NPU"
    with pytest.raises(OptionError, match="no such library"):
        find_device(DeviceRequest("ep", (), "odd"), tmp_path / "none.so")


def test_a_provider_that_comes_with_the_runtime_needs_no_library(runtime):
    runtime.devices.append(device("CUDAExecutionProvider"))
    assert find_device(DeviceRequest("ep", (), "cuda")).provider == "CUDAExecutionProvider"


def test_a_provider_without_a_device_is_an_error_that_says_what_it_needs(runtime, package):
    runtime.libraries[package("openvino")] = []
    with pytest.raises(DeviceError, match="lists no device on this machine") as error:
        find_device(DeviceRequest("ep", (), "openvino"))
    assert "clsbench-openvino" in error.value.facts["to do"]


def test_a_provider_that_is_not_installed_is_an_error_that_names_its_package(runtime):
    with pytest.raises(DeviceError, match="no provider nothing here") as error:
        find_device(DeviceRequest("ep", (), "nothing"))
    assert error.value.facts["expected"] == "nv-tensorrt-rtx, openvino, webgpu"
    assert "ep_library" in error.value.facts["to do"]
    with pytest.raises(DeviceError):  # the CPU has no need of a plugin provider
        find_device(DeviceRequest("ep", (), "cpu"))


def test_a_library_of_another_provider_is_told_by_its_name(runtime, tmp_path):
    library = tmp_path / "libodd.so"
    library.touch()
    runtime.libraries[str(library)] = [device("OddExecutionProvider")]
    with pytest.raises(DeviceError, match="lists no device") as error:
        find_device(DeviceRequest("ep", (), "even"), library)
    assert error.value.facts["got"] == "OddExecutionProvider"


def test_onnxruntime_itself_opens_a_session_on_a_listed_device(tiny_onnx, monkeypatch):
    """The one provider with a device on every machine is the CPU's; here it passes for a plugin's."""
    monkeypatch.setattr(plugin_providers, "CPU", "another")
    backend = build(tiny_onnx, "ep:cpu")
    assert (backend.device.provider, backend.device.device) == (CPU, "cpu")
    images = np.random.default_rng(0).integers(0, 256, (3, 8, 8, 3), dtype=np.uint8)
    np.testing.assert_allclose(backend(images), images.mean(axis=(1, 2)), rtol=1e-5)


def test_what_keeps_a_library_from_loading_is_told(runtime, package):
    package("webgpu")
    with pytest.raises(DeviceError, match="cannot load the provider webgpu") as error:
        find_device(DeviceRequest("ep", (), "webgpu"))
    assert error.value.facts["got"] == "Failed to load library /lib/webgpu.so with error: no"
    package("broken", "raise OSError('no glibc')")
    with pytest.raises(DeviceError, match="onnxruntime-ep-broken is broken") as error:
        find_device(DeviceRequest("ep", (), "broken"))
    assert error.value.facts["got"] == "no glibc"


@pytest.fixture
def webgpu(runtime, package):
    runtime.libraries[package("webgpu")] = [device(WEBGPU, Description="NVIDIA T4")]
    return runtime


def test_the_backend_runs_there_and_says_so(webgpu, tiny_onnx):
    backend = build(tiny_onnx, "ep:webgpu", batch_size=4)
    facts = backend.device
    assert (facts.requested, facts.device, facts.indices, facts.provider) == ("ep:webgpu", "gpu", (0,), WEBGPU)
    assert facts.names == ("NVIDIA GPU (NVIDIA T4)",)
    assert (backend.shares_cores, backend.batch_size) == (False, 4)
    images = np.random.default_rng(0).integers(0, 256, (3, 8, 8, 3), dtype=np.uint8)
    np.testing.assert_allclose(backend(images), images.mean(axis=(1, 2)), rtol=1e-5)
    assert backend.allocate((2, 8, 8, 3)).shape == (2, 8, 8, 3)


def test_a_provider_on_the_cpu_shares_its_cores(runtime, package, tiny_onnx):
    runtime.libraries[package("openvino")] = [device("OpenVINOExecutionProvider", "CPU", "Intel")]
    runtime.assigned = [("OpenVINOExecutionProvider", "Conv")]
    backend = build(tiny_onnx, "ep:openvino")
    assert (backend.device.device, backend.shares_cores) == ("cpu", True)


@pytest.mark.parametrize(
    ("assigned", "what"),
    [
        ([], "did not use WebGpu"),
        ([(CPU, "Conv")], "did not use WebGpu"),
        ([(WEBGPU, "Conv"), (CPU, "MatMul")], "1 compute node of"),
    ],
)
def test_work_that_lands_elsewhere_is_an_error(webgpu, tiny_onnx, assigned, what):
    webgpu.assigned = assigned
    with pytest.raises(DeviceError, match=what):
        build(tiny_onnx, "ep:webgpu")


def test_compute_on_the_cpu_can_be_accepted(webgpu, tiny_onnx):
    webgpu.assigned = [(WEBGPU, "Conv"), (CPU, "MatMul")]
    assert build(tiny_onnx, "ep:webgpu", allow_fallback=True).device.provider == WEBGPU


def test_a_provider_that_fails_is_told_from_a_file_that_does(webgpu, tiny_onnx, tmp_path):
    webgpu.failure = RuntimeError("no adapter\nmore")
    with pytest.raises(DeviceError, match="WebGpuExecutionProvider cannot run the network") as error:
        build(tiny_onnx, "ep:webgpu")
    assert error.value.facts["got"] == "no adapter"
    broken = tmp_path / "broken.onnx"
    broken.write_bytes(b"\x08")
    with pytest.raises(ModelError, match="cannot open the model"):
        plugin_providers.open_plugin_session(broken, find_device(DeviceRequest("ep", (), "webgpu")))


def test_options_that_do_not_fit_are_refused(webgpu, tiny_onnx, tmp_path):
    with pytest.raises(OptionError, match="a provider's library is for its devices"):
        build(tiny_onnx, "cpu", ep_library=tmp_path)
    with pytest.raises(OptionError, match="TF32"):
        build(tiny_onnx, "ep:webgpu", tf32=False)


def test_an_empty_and_a_full_batch_have_the_same_size_on_the_device():
    sizes = []

    def run(outputs, feeds, options):
        sizes.append(len(feeds["images"]))
        return [feeds["images"].sum(axis=(1, 2, 3)).astype(np.float32)]

    padded, images = Padded(SimpleNamespace(run=run), 4), np.ones((4, 2, 2, 3), np.uint8)
    for count in (0, 1, 4):
        assert padded.run(("logits",), {"images": images[:count]})[0].tolist() == [12.0] * count
    assert sizes == [4, 4, 4]


def test_doctor_lists_the_installed_ones(runtime, package, monkeypatch):
    runtime.libraries[package("openvino")] = []
    runtime.libraries[package("webgpu")] = [device(WEBGPU)]
    package("broken", "raise OSError('no glibc')")
    found = {name: diagnostics.diagnose_plugin_provider(name) for name in plugin_providers.installed()}
    assert {name: check.status for name, check in found.items() if name in ("openvino", "webgpu", "broken")} == {
        "openvino": "absent",
        "webgpu": "ok",
        "broken": "fault",
    }
    assert found["webgpu"].found.endswith("NVIDIA GPU")
    monkeypatch.setattr(diagnostics, "convolution_difference", lambda opened: 0.5)
    assert diagnostics.diagnose_plugin_provider("webgpu").found == "wrong by 0.5"
