import json
from types import SimpleNamespace

import pytest

from clsbench.inference import diagnostics
from clsbench.inference.devices import Missing
from clsbench.inference.sessions import open_session


def test_a_convolution_on_the_cpu_is_right():
    assert diagnostics.convolution_difference(lambda file: open_session(file, "cpu")) < 1e-5


def test_two_onnxruntimes_are_a_fault(monkeypatch):
    monkeypatch.setattr(diagnostics, "installed_version", lambda name: "1.31.1")
    check = diagnostics.diagnose_runtimes()
    assert check.status == "fault"
    assert "pip uninstall" in str(check.remedy)


@pytest.mark.parametrize(("absent", "status"), [(True, "absent"), (False, "fault")])
def test_no_gpu_is_no_fault_but_half_a_gpu_is(monkeypatch, absent, status):
    monkeypatch.setattr(diagnostics, "missing_for", lambda kind: Missing("it is not here", "mend it", absent))
    check = diagnostics.diagnose_provider("cuda")
    assert (check.status, check.found, check.remedy) == (status, "it is not here", "mend it")


def test_a_convolution_that_fails_or_is_wrong_is_a_fault(monkeypatch):
    monkeypatch.setattr(diagnostics, "missing_for", lambda kind: None)

    def fails(kind):
        raise RuntimeError("CUDNN_STATUS_NOT_INITIALIZED\nmore")

    monkeypatch.setattr(diagnostics, "convolution_difference", fails)
    assert "CUDNN_STATUS_NOT_INITIALIZED" in diagnostics.diagnose_provider("cuda").found
    monkeypatch.setattr(diagnostics, "convolution_difference", lambda kind: 0.5)
    assert diagnostics.diagnose_provider("cuda").status == "fault"


def test_a_gpu_that_works_is_described(cuda, monkeypatch):
    cuda(version=13010)
    monkeypatch.setattr(diagnostics, "missing_for", lambda kind: None)
    monkeypatch.setattr(diagnostics, "convolution_difference", lambda kind: 1e-4)
    monkeypatch.setattr(diagnostics, "load_cudnn", lambda: SimpleNamespace(cudnnGetVersion=lambda: 92400))
    found = diagnostics.diagnose_provider("cuda").found
    assert found == "right to 0.0001; NVIDIA H100; driver for CUDA 13.1; cuDNN 9.24; memory is pinned"


def test_tensorrt_11_is_a_fault(monkeypatch):
    monkeypatch.setattr(diagnostics, "installed_version", lambda name: "11.0.1")
    check = diagnostics.diagnose_provider("tensorrt")
    assert check.status == "fault"
    assert "<11" in str(check.remedy)


def test_settings_that_tie_threads_down_are_warned_of(monkeypatch):
    monkeypatch.setenv("OMP_NUM_THREADS", "1")
    assert diagnostics.diagnose_threads().status == "warning"


@pytest.mark.parametrize(("value", "status"), [("1", "ok"), ("0", "warning"), (None, "warning")])
def test_the_telemetry_of_onnxruntime_is_told(monkeypatch, value, status):
    monkeypatch.delenv("ORT_DISABLE_TELEMETRY")
    if value is not None:
        monkeypatch.setenv("ORT_DISABLE_TELEMETRY", value)
    assert diagnostics.diagnose_telemetry().status == status


def test_the_codecs_of_this_machine_work():
    assert {check.status for check in diagnostics.diagnose_codecs()} == {"ok"}


def test_doctor_ends_with_a_verdict_and_its_exit_code(cli, monkeypatch, tmp_path):
    done = cli("doctor", "--json", tmp_path / "d.json")
    facts = json.loads((tmp_path / "d.json").read_text())
    assert done.code == (0 if facts["healthy"] else 1)
    assert facts["verdict"] in done.stdout.replace("\n", " ")
    broken = diagnostics.Diagnostic("one ONNX Runtime", "fault", "both are installed")
    monkeypatch.setattr(diagnostics, "diagnose_runtimes", lambda: broken)
    done = cli("doctor")
    assert done.code == 1
    assert "1 at fault: one ONNX Runtime" in done.stdout


def test_a_broken_plugin_is_a_fault():
    plugin = SimpleNamespace(trouble="ImportError: no", components={}, distribution="clsbench-broken")
    found = {check.found: check.status for check in diagnostics.diagnose(lambda: [plugin])}
    assert found["ImportError: no"] == "fault"
