"""The backend ``torch`` on a run that is trained here: a small network on twelve coloured images."""

import shutil
from dataclasses import replace
from types import SimpleNamespace

import numpy as np
import pytest
import torch
from clsbench_torch.backend import check_same
from PIL import Image

import clsbench
from clsbench import DeviceError, ModelError, OptionError
from clsbench.testing import installed, plugin_checks, run_checks


@pytest.fixture(scope="module")
def run(tmp_path_factory):
    folder = tmp_path_factory.mktemp("torch")
    for k in range(12):
        file = folder / "photos" / ("dark" if k % 2 else "light") / f"{k}.png"
        file.parent.mkdir(parents=True, exist_ok=True)
        Image.new("RGB", (16, 16), (20 * (k % 2) + k, 30, 200)).save(file)
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(folder)
        clsbench.train("photos", model="simple-cnn", epochs=1, run="first", options={"model.size": 16})
        clsbench.export("first")
    return folder / "runs" / "first"


@pytest.fixture
def component():
    return installed("backend", "torch/torch")


def images(count, side=16):
    return np.random.default_rng(1).integers(0, 256, (count, side, side, 3), dtype=np.uint8)


def test_it_is_a_backend_that_says_what_the_file_says(component, run):
    checks = plugin_checks("torch", options={"backend/torch": {"model": run / "model.onnx"}})
    assert {str(one.check): one.reason for one in run_checks(checks) if one.status != "passed"} == {}
    backend = component.build(run / "model.onnx", "cpu")
    reference = installed("backend", "onnxruntime").build(run / "model.onnx", "cpu")
    for count in (1, 3, 9):
        np.testing.assert_allclose(backend(images(count)), reference(images(count)), atol=1e-4)
    for ours, theirs in zip(backend.with_features(images(3)), reference.with_features(images(3)), strict=True):
        np.testing.assert_allclose(ours, theirs, atol=1e-4)
    assert (backend.device.device, backend.device.precision) == ("cpu", "float32")
    assert backend.threads == torch.get_num_threads()


def test_infer_and_bench_take_it_by_name(run, tmp_path, monkeypatch):
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    photos = run.parents[1] / "photos"
    found = clsbench.infer(photos, model=run, device="cpu", backend="torch")
    assert found.execution.device.provider.startswith("torch ")
    monkeypatch.setattr("clsbench.inference.bench_rounds.MAX_ROUNDS", 1)
    result = clsbench.bench(
        run, backends="onnxruntime,torch", images=photos, device="cpu", window=0.05, batch_sizes=[2]
    )
    assert [row.agreement.value for row in result.benchmarks] == [1.0, 1.0]


def test_it_is_never_tried_unasked(component):
    assert component.variants == ()


def test_other_weights_than_those_of_the_file_are_refused(component, run, tmp_path):
    classifier = clsbench.load_classifier(run)
    check_same(classifier.eval(), run / "model.onnx", run)
    with torch.no_grad():
        classifier.head.weight += 0.05 * classifier.head.weight.abs().max()
        classifier.head.weight[0] *= 1.1
    with pytest.raises(ModelError, match="not those of the file"):
        check_same(classifier, run / "model.onnx", run)
    classifier.transform = replace(classifier.transform, size=(9, 9))
    with pytest.raises(ModelError, match="not that of the file"):
        check_same(classifier, run / "model.onnx", run)
    shutil.copy(run / "model.onnx", tmp_path / "alone.onnx")
    with pytest.raises(ModelError, match="no run beside"):
        component.build(tmp_path / "alone.onnx", "cpu")
    assert component.build(tmp_path / "alone.onnx", "cpu", run=run)(images(1)).shape == (1, 2)


def test_a_file_of_another_precision_is_refused(component, run, monkeypatch):
    half = SimpleNamespace(card=SimpleNamespace(precision="float16"))
    monkeypatch.setattr("clsbench_torch.backend.inspect", lambda file: half)
    with pytest.raises(ModelError, match="in float32"):
        component.build(run / "model.onnx", "cpu")


@pytest.mark.parametrize(
    ("device", "options", "error"),
    [
        ("tensorrt", {}, OptionError),
        ("cpu:1", {}, OptionError),
        ("cuda:99", {}, DeviceError),
        ("cpu", {"batch_size": 0}, OptionError),
        ("cpu", {"threads": 0}, OptionError),
    ],
)
def test_what_it_cannot_do_is_an_error(component, run, device, options, error):
    with pytest.raises(error):
        component.build(run / "model.onnx", device, **options)


def test_compiled_it_fills_batches_up(component, run, monkeypatch):
    sizes = []

    def compiled(function):
        def call(batch):
            sizes.append(len(batch))
            return function(batch)

        return call

    monkeypatch.setattr(torch, "compile", compiled)
    eager, backend = (component.build(run / "model.onnx", "cpu", batch_size=4, compile=c) for c in (False, True))
    np.testing.assert_allclose(backend(images(9)), eager(images(9)), atol=1e-5)
    assert sizes == [4] * 4

    def broken(function):
        def call(batch):
            raise RuntimeError("no C++ compiler\nat all")

        return call

    monkeypatch.setattr(torch, "compile", broken)
    with pytest.raises(DeviceError, match=r"torch.compile failed") as caught:
        component.build(run / "model.onnx", "cpu", compile=True)
    assert caught.value.one_line().count("no C++ compiler") == 1
