"""``export --precision int8`` and what the other commands make of such a file."""

import json
import shutil
import sys
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import onnx
import pytest

import clsbench
from clsbench.api.apart import apart
from clsbench.api.components import registry
from clsbench.api.precisions import note_outdated
from clsbench.card import METADATA_KEY
from clsbench.carried_gate import METADATA_KEY as CARRIED
from clsbench.images.entries import PixelsEntry
from clsbench.model_file import model_hash, read_card
from clsbench.runs import find_onnx
from tests.exporting.digits_network import digit_folder, planted, quantize, trained_weights, write_digits_network

TINY = (
    "--epochs",
    1,
    "--data-fraction",
    0.2,
    "--device",
    "cpu",
    "--with",
    "model.size=16",
    "--with",
    "model.channels=8",
    "--run",
    "mine",
)

#: A plugin's backend that computes with ONNX Runtime, and gives the classes in another order.
OTHER = """
    from clsbench import Backend, DeviceInfo
    from clsbench.component import Component
    from clsbench.hookspecs import hookimpl

    class Wrong(Backend):
        streams = batch_size = 1
        device = DeviceInfo(device="cpu", provider="wrong")

        def __init__(self, file):
            from onnxruntime import InferenceSession
            self.session = InferenceSession(str(file), providers=["CPUExecutionProvider"])

        def __call__(self, images):
            logits, = self.session.run(["logits"], {"images": images})
            return logits[:, ::STEP].copy()

        def close(self):
            pass

    def build(model_path, device="auto"):
        return Wrong(model_path)

    @hookimpl
    def register_backends():
        yield Component("other", build, "another engine")
"""


@pytest.fixture(scope="module")
def pair(tmp_path_factory):
    """A float32 file and the int8 file that was made of it."""
    folder = tmp_path_factory.mktemp("pair")
    parent = write_digits_network(folder / "digits.onnx")
    return parent, quantize(parent, folder / "digits.int8.onnx").file


@pytest.fixture(autouse=True)
def short(monkeypatch):
    monkeypatch.setattr("clsbench.api.export_precision.WINDOW", 0.01)


def test_a_run_gets_both_files_and_a_table_compares_them(trained, without_curves, cli):
    trained(*TINY)
    asked = ("export", "mine", "--precision", "int8", "--max-drop", 50, "--gate-n", 60)
    int8 = cli(*asked, "--min-speedup", 0, "--json", "e.json")
    assert int8.code == 0, int8.stderr + int8.stdout
    parent, file = Path("runs/mine/model.onnx"), Path("runs/mine/model.int8.onnx")
    card, facts = read_card(file), json.loads(Path("e.json").read_text())
    assert (card.precision, card.parent, card.proved_on) == ("int8", model_hash(parent), ("onnxruntime",))
    assert (facts["file"], facts["card"]["parent"]) == (str(file), card.parent)
    assert facts["precision"]["speed"]["end_to_end"]["ratio"] > 0
    assert facts["precision"]["calibrated_on"] == 128
    for words in ("top-1 accuracy", "images/s, end to end", "images/s, model alone", "size", "95% interval", "points"):
        assert words in int8.stdout
    assert "carries 16 images of the gate" in int8.stderr

    done = cli("infer", digit_folder(Path("photos"), 900, 5), "--model", "mine", "--out", "a.csv")
    assert done.code == 0, done.stderr
    assert "float32 is taken; the run has model.int8.onnx too: --model runs/mine/model.int8.onnx" in done.stderr
    assert find_onnx("mine") == find_onnx(None) == parent

    file.unlink()
    done = cli(*asked, "--min-speedup", 100)
    assert (done.code, file.exists()) == (3, False)
    assert "made of the float32 file that is there" in done.stderr
    assert "--min-speedup asks for 100" in done.stderr


def test_an_exported_file_is_made_one_of_fewer_bits(pair, cli):
    digit_folder(Path("photos"), 0, 150)
    done = cli("export", pair[0], "--precision", "int8,fp16", "--calibrate-images", "photos", "--calibrate-n", 40,
               "--min-speedup", 0, "--max-drop", 5, "--out", "small.onnx", "--json", "e.json")  # fmt: skip
    assert done.code == 0, done.stderr + done.stdout
    assert {read_card(Path(f"small.{bits}.onnx")).precision for bits in ("int8", "fp16")} == {"int8", "float16"}
    assert {read_card(Path(f"small.{bits}.onnx")).parent for bits in ("int8", "fp16")} == {model_hash(pair[0])}
    assert "ranges from 40 images, judged on 110 others" in done.stderr


def test_images_that_calibrate_do_not_judge_whatever_they_are_called(pair, cli):
    folder = digit_folder(Path("photos"), 0, 20)
    shutil.copytree(folder, "copies")
    shutil.make_archive("packed", "tar", folder)
    for both in (("photos", "copies"), ("packed.tar", "packed.tar")):
        done = cli("export", pair[0], "--precision", "int8", "--calibrate-images", both[0], "--gate-images", both[1],
                   "--out", "x.onnx")  # fmt: skip
        assert (done.code, Path("x.onnx").exists()) == (1, False)
        assert "20 images in both" in done.stderr


def test_one_image_cannot_calibrate_and_judge(pair, cli):
    digit_folder(Path("photos"), 0, 1)
    done = cli("export", pair[0], "--precision", "int8", "--calibrate-images", "photos", "--out", "x.onnx")
    assert done.code == 1
    assert "1 image" in done.stderr
    assert "--gate-images" in done.stderr


@pytest.mark.parametrize(
    "option", [("--for", "openvino"), ("--max-drop", 2), ("--min-speedup", 2), ("--force",), ("--calibrate-n", 4)]
)
def test_what_is_only_about_int8_is_refused_without_it(option, pair, cli):
    done = cli("export", pair[0], "--precision", "fp16", *option)
    assert done.code == 2
    assert f"only int8 takes {option[0]}" in done.stderr


def test_a_file_of_an_earlier_parent_is_named(pair, tmp_path):
    heard = []
    observer = SimpleNamespace(warn=heard.append)
    for name in ("digits.onnx", "digits.int8.onnx"):
        shutil.copy(pair[0].with_name(name), tmp_path / name)
    note_outdated(tmp_path / "digits.onnx", ("fp32",), observer)
    assert heard == []
    write_digits_network(tmp_path / "digits.onnx", planted(trained_weights()))
    note_outdated(tmp_path / "digits.onnx", ("fp32", "int8"), observer)
    assert heard == []
    note_outdated(tmp_path / "digits.onnx", ("fp32",), observer)
    assert "digits.int8.onnx was made of an earlier float32 file: make it again with --precision int8" in heard[0]


def test_inspect_and_verify_know_what_int8_is(pair, cli):
    shown = cli("inspect", pair[1]).stdout
    for words in ("made for", "proved on", "float layers", model_hash(pair[0])):
        assert words in shown
    done = cli("verify", *pair, "--images", digit_folder(Path("photos"), 900, 60))
    assert done.code == 0, done.stdout
    assert "(any is allowed, and a loss of 0.5 points of accuracy)" in done.stdout
    refused = cli("verify", *pair, "--images", "photos", "--tolerance", "0")
    assert refused.code == 3


@pytest.mark.parametrize(("step", "code"), [(-1, 1), (1, 0)])
def test_another_backend_answers_the_carried_images_first(step, code, pair, cli, fake_distribution):
    """The classes in another order are refused with the labels; the same answers are said and go on."""
    fake_distribution("clsbench-acme", OTHER.replace("STEP", str(step)))
    folder = digit_folder(Path("photos"), 900, 5)
    done = cli("infer", folder, "--model", pair[1], "--backend", "other", "--out", "p.csv")
    assert done.code == code, done.stderr
    if code:
        words = ["other does not answer as this int8 file was meant to", "image 1: ", "--backend onnxruntime"]
        assert not [word for word in words if word not in done.stderr], done.stderr
        assert not Path("p.csv").exists()
        with pytest.raises(clsbench.ModelError, match="does not answer"):
            clsbench.load(pair[1], backend="other")
    else:
        assert "made for onnxruntime, checked on other" in done.stderr
        assert "0 of 16 carried images get another top-1" in done.stderr


def test_a_file_that_carries_nothing_is_for_its_engine_alone(pair, cli, fake_distribution):
    """Whose pictures must not leave the house exports with --carry-n 0."""
    fake_distribution("clsbench-acme", OTHER.replace("STEP", "1"))
    asked = ("--precision", "int8", "--calibrate-images", digit_folder(Path("photos"), 0, 60), "--calibrate-n", 20)
    asked += ("--min-speedup", 0, "--max-drop", 50)
    done = cli("export", pair[0], *asked, "--carry-n", 0, "--out", "bare.onnx")
    assert done.code == 0, done.stderr
    assert "carries" not in done.stderr
    assert CARRIED not in {entry.key for entry in onnx.load("bare.onnx").metadata_props}
    assert cli("infer", "photos", "--model", "bare.onnx", "--backend", "onnxruntime").code == 0
    refused = cli("infer", "photos", "--model", "bare.onnx", "--backend", "other")
    assert refused.code == 1
    assert "not proved on other, and carries no images" in refused.stderr


def test_another_processor_answers_them_too(pair, cli, monkeypatch):
    folder = digit_folder(Path("photos"), 900, 5)
    assert "carried" not in cli("infer", folder, "--model", pair[1]).stderr
    monkeypatch.setattr("clsbench.machine.cpu_name", lambda: "another processor")
    assert "0 of 16 carried images get another top-1" in cli("infer", folder, "--model", pair[1]).stderr


def test_an_adopted_int8_file_carries_images_too(pair, cli, fake_distribution):
    """Another program's quantized file is proved in ONNX Runtime, and another engine is told from it."""
    foreign = onnx.load(pair[1])
    del foreign.metadata_props[:]
    onnx.save(foreign, "theirs.onnx")
    Path("names.txt").write_text("\n".join(map(str, range(10))))
    gate = digit_folder(Path("gate"), 600, 30)
    done = cli("adopt", "theirs.onnx", "--classes", "names.txt", "--range", "0-255", "--resize", "squash",
               "--gate-images", gate, "--out", "ours.onnx", "--yes")  # fmt: skip
    assert done.code == 0, done.stderr
    card = read_card(Path("ours.onnx"))
    assert (card.precision, card.proved_on, card.parent) == ("int8", ("onnxruntime",), None)
    fake_distribution("clsbench-acme", OTHER.replace("STEP", "-1"))
    registry.cache_clear()
    done = cli("infer", gate, "--model", "ours.onnx", "--backend", "other")
    assert done.code == 1
    assert "image 1: " in done.stderr


def test_damaged_images_in_a_file_are_told(pair, refused, tmp_path):
    model = onnx.load(pair[1])
    onnx.helper.set_model_props(model, {METADATA_KEY: read_card(pair[1]).dumps(), CARRIED: '{"schema": 1}'})
    onnx.save(model, tmp_path / "odd.onnx")
    folder = digit_folder(tmp_path / "photos", 900, 5)
    refused(1, ["the images that the model file carries cannot be read"], "infer", folder, "--model", "odd.onnx")


def test_an_image_that_judges_does_not_calibrate():
    """Data of strangers has the same picture in both splits now and then."""
    heard = []
    entries = [PixelsEntry(f"{k}.png", np.full((2, 2, 3), k, np.uint8)) for k in range(4)]
    copy = PixelsEntry("copy of 2.png", entries[2].read().copy())
    left = apart(entries[:3], [entries[3], copy], SimpleNamespace(note=heard.append))
    assert [entry.name for entry in left] == ["0.png", "1.png"]
    assert heard == ["1 image would calibrate and judge: left out of the ranges"]


def test_silly_precisions(refused, tiny_onnx, photos):
    refused(2, ["unknown precision", "fp32 or fp16 or int8"], "export", tiny_onnx, "--precision", "int4")
    refused(2, ["this is an exported file already"], "export", tiny_onnx)
    refused(2, ["--calibrate-images", "training images"], "export", tiny_onnx, "--precision", "int8")
    refused(2, ["not made for this engine", "openvino"], "export", tiny_onnx, "--precision", "int8", "--for", "tpu")
    both = ("--calibrate-images", photos / "val", "--gate-images", photos / "val")
    refused(
        1, ["the same images cannot calibrate int8 and judge it"], "export", tiny_onnx, "--precision", "int8", *both
    )
    refused(2, ["keeps the temperature"], "export", tiny_onnx, "--precision", "int8", "--calibrate")


def test_openvino_needs_its_plugin_and_its_quantizer(refused, pair, photos, monkeypatch, tmp_path):
    asked = ("export", pair[0], "--precision", "int8", "--for", "openvino", "--calibrate-images", photos / "train")
    if "openvino" not in {resolved.component.name for resolved in registry().components("backend")}:
        refused(1, ["which no plugin offers here", "pip install clsbench-openvino"], *asked)
    monkeypatch.setitem(sys.modules, "nncf", None)
    from clsbench.exporting.quantizing.nncf_quantizer import NncfQuantizer

    with pytest.raises(clsbench.ClsbenchError, match="NNCF") as caught:
        NncfQuantizer(onnx.load(pair[0]), None, tmp_path)
    assert "pip install nncf" in str(caught.value)
