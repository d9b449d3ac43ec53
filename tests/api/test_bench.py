"""Several backends in one benchmark: plugins written here stand for other engines."""

import json

import numpy as np
import pytest
from PIL import Image

import clsbench
from clsbench.errors import DataError, DeviceError, OptionError
from clsbench.predictions.values import wilson

PLUGIN = """
    import time
    import numpy as np
    from clsbench import Backend, Component, DeviceError, DeviceInfo, hookimpl

    class Means(Backend):
        '''The same as the file: the mean of each channel; or all of them turned around.'''
        device, streams, batch_size = DeviceInfo(provider="numpy", device="cpu"), 1, 2
        def __init__(self, sleep, turned):
            self.sleep, self.turned = sleep, turned
        def __call__(self, images):
            time.sleep(self.sleep * len(images))
            means = images.mean(axis=(1, 2), dtype=np.float32)
            return np.ascontiguousarray(means[:, ::-1]) if self.turned else means
        def close(self): ...

    def build(model_path, device="auto", *, ms: float = 1.0, turned: bool = False):
        if device == "cuda":
            raise DeviceError("no such device")
        return Means(ms / 1000, turned)

    def oracle(model_path, device="auto"):
        raise RuntimeError("nobody asked for it")

    @hookimpl
    def register_backends():
        yield Component("means", build, "of channels", variants=("", "ms=8"))
        yield Component("oracle", oracle, "never tried unasked", variants=())
"""


@pytest.fixture(autouse=True)
def _quick(cli, fake_distribution, only_plugin, monkeypatch):
    fake_distribution("clsbench-means", PLUGIN)
    only_plugin("means")
    monkeypatch.setattr("clsbench.inference.bench_rounds.MAX_ROUNDS", 2)


def test_one_table_of_two_backends(cli, tiny_onnx, photos, tmp_path, monkeypatch):
    monkeypatch.setenv("COLUMNS", "80")
    done = cli(
        "bench", tiny_onnx, "--backends", "onnxruntime,means:turned=true,means:ms=8", "--images", photos,
        "--window", 0.05, "--batch-size", 2, "--json", "b.json", "--plot", "p.png",
    )  # fmt: skip
    assert done.code == 0
    lines = done.stdout.splitlines()
    assert max(map(len, lines)) <= 80
    assert [sum(f" {name} " in line for line in lines) for name in ("onnxruntime", "means:turned", "means:8.0")] == [
        3, 3, 3,
    ]  # fmt: skip
    with Image.open("p.png") as drawn:
        assert drawn.size[0] > 100
    right, turned, slow = json.loads((tmp_path / "b.json").read_text())["benchmarks"]
    assert "means:turned gives 12 of 18 images another label than the first row" in done.stderr
    assert done.stderr.count("another label") == 1
    assert right["accuracy"] == {
        "value": 1.0, "low": pytest.approx(wilson(18, 18)[0]), "high": 1.0, "correct": 18, "total": 18
    }  # fmt: skip
    assert (right["ratio_to_first"], right["agreement_with_first"]["value"]) == (1.0, 1.0)
    assert turned["accuracy"]["correct"] == turned["agreement_with_first"]["correct"] == 6  # the green ones
    assert slow["agreement_with_first"]["value"] == 1.0
    assert 0 < slow["ratio_to_first"] < 1
    assert slow["device"]["provider"] == "numpy"


QUICK = {"device": "cpu", "window": 0.05, "batch_sizes": [1], "accuracy_n": 4}


def test_all_are_the_installed_ones_in_their_variants_but_for_oracles(tiny_onnx, photos):
    found = clsbench.bench(tiny_onnx, backends="all", images=photos, **QUICK)
    assert [row.engine for row in found.benchmarks] == ["onnxruntime", "means", "means:ms=8.0"]
    assert found.complete
    fixed = clsbench.bench(tiny_onnx, backends="all", images=photos, options={"means.ms": 8}, **QUICK)
    assert [row.engine for row in fixed.benchmarks] == ["onnxruntime", "means"]


@pytest.mark.parametrize("wrong", ["means:", "means:ms", "means:=8", "all,means"])
def test_engines_that_cannot_be_read_are_of_backends(wrong, tiny_onnx, photos):
    with pytest.raises(OptionError, match="where: --backends"):
        clsbench.bench(tiny_onnx, backends=wrong, images=photos, **QUICK)


def test_a_file_of_labels_that_is_missing_is_an_error(tiny_onnx, photos):
    with pytest.raises(DataError, match="no such file of labels"):
        clsbench.bench(tiny_onnx, images=photos, labels="missing.csv", **QUICK)


def test_images_that_cannot_be_read_give_no_figures(cli, tiny_onnx, tmp_path):
    (tmp_path / "a.jpg").write_bytes(b"no image")
    done = cli("bench", tiny_onnx, "--images", tmp_path, "--window", 0.05)
    assert done.code == 1
    assert "none of the images to measure with" in done.stderr
    assert not done.stdout


def test_a_row_that_cannot_be_measured_says_why(cli, tiny_onnx, photos):
    done = cli("bench", tiny_onnx, "--backends", "means,oracle", "--images", photos, "--window", 0.05, "--json", "-")
    assert done.code == 3
    measured, failed = json.loads(done.stdout)["benchmarks"]
    assert measured["failure"] is None
    assert "RuntimeError: nobody asked for it" in failed["failure"]
    assert "oracle was not measured" in done.stderr


def test_a_file_with_other_classes_agrees_by_name_or_not_at_all(tiny_onnx, photos, tmp_path):
    import onnx

    from clsbench.card import METADATA_KEY

    def renamed(names):
        model = onnx.load(tiny_onnx)
        card = json.loads(next(p.value for p in model.metadata_props if p.key == METADATA_KEY))
        onnx.helper.set_model_props(model, {METADATA_KEY: json.dumps(card | {"classes": names})})
        file = tmp_path / f"{names[0]}.onnx"
        onnx.save(model, file)
        return file

    others = [renamed(["blue", "green", "red"]), renamed(["x", "y", "z"])]
    found = clsbench.bench(tiny_onnx, *others, images=photos, labels="none", **QUICK)
    same, turned, none = (row.agreement for row in found.benchmarks)
    assert same.value == 1.0
    assert turned.value < 1.0
    assert none is None


def test_an_image_that_cannot_be_read_ends_nothing(tiny_onnx, photos):
    (photos / "train/red/broken.png").write_bytes(b"\x89PNG nothing")
    (row,) = clsbench.bench(tiny_onnx, images=photos, **{**QUICK, "accuracy_n": 50}).benchmarks
    assert (row.accuracy.correct, row.accuracy.total) == (18, 18)
    assert row.end_to_end.value > 0


def test_labels_that_do_not_fit_give_no_accuracy(tiny_onnx, photos, tmp_path):
    ears = Ears()
    (tmp_path / "l.csv").write_text("path,label\ntrain/red/0.png,cat\n")
    found = clsbench.bench(tiny_onnx, images=photos, labels=tmp_path / "l.csv", observer=ears, **QUICK)
    assert found.benchmarks[0].accuracy is None
    assert "labels that the model does not know: cat" in ears.warnings[0]


@pytest.mark.parametrize(
    ("asked", "error", "said"),
    [
        ({"backends": "onnxruntime,,"}, OptionError, "cannot read the backends"),
        ({"backends": "onnxruntime:width=3"}, OptionError, "no option 'width'"),
        ({"backends": "none"}, OptionError, "unknown backend 'none'"),
        ({"backends": "means", "device": "cuda"}, DeviceError, "no such device"),
        ({"labels": "l.csv"}, OptionError, "labels are for images"),
        ({"accuracy_n": 0}, OptionError, "accuracy_n"),
    ],
)
def test_what_cannot_be_measured_is_refused(tiny_onnx, asked, error, said):
    with pytest.raises(error, match=said):
        clsbench.bench(tiny_onnx, window=0.05, **asked)


def test_models_that_do_not_fit_together_are_measured_one_after_the_other(tiny_onnx, photos, monkeypatch):
    monkeypatch.setattr("clsbench.inference.bench_rounds.available_memory", lambda: 0)
    ears = Ears()
    found = clsbench.bench(tiny_onnx, backends="onnxruntime,means", images=photos, observer=ears, **QUICK)
    assert not found.together
    assert "one after the other" in ears.warnings[0]
    assert all(row.agreement.value == 1.0 and np.isfinite(row.ratio) for row in found.benchmarks)


class Ears(clsbench.Observer):
    """Keeps warnings."""

    def __init__(self):
        self.warnings = []

    def warn(self, text):
        self.warnings.append(text)
