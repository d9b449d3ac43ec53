"""``clsbench verify A B``: two forms of a network, from the encoded image to the probabilities."""

import json
import shutil
from pathlib import Path

import numpy as np
import onnx
import pytest
from onnx import helper, numpy_helper

import clsbench
from clsbench.card import METADATA_KEY, ModelCard
from clsbench.errors import ModelError, OptionError
from clsbench.exporting.onnx_export import to_onnx
from clsbench.model_file import read_card


@pytest.fixture(scope="module")
def trained_once(tmp_path_factory):
    """Where the first test leaves its run for the others."""
    return tmp_path_factory.mktemp("verified") / "runs"


@pytest.fixture
def run(cli, photos, trained_once, without_curves, tmp_path):
    """An exported run ``mine`` and its images, in the current folder."""
    if not trained_once.exists():
        done = cli("train", photos, "--epochs", 1, "--with", "model.size=16", "--run", "mine")
        assert done.code == 0, done.stderr
        assert cli("export").code == 0
        shutil.copytree(tmp_path / "runs", trained_once, symlinks=True)
    else:
        shutil.copytree(trained_once, tmp_path / "runs", symlinks=True)
        record = tmp_path / "runs/mine/run.json"
        facts = json.loads(record.read_text())
        facts["data"]["root"] = str(photos)
        record.write_text(json.dumps(facts))
    return tmp_path / "runs/mine"


def changed(file, out, change):
    """A copy of a model file with its graph or card changed in place."""
    model = onnx.load(file)
    change(model)
    onnx.save(model, out)
    return out


def with_card(model, **fields):
    card = {**json.loads(model.metadata_props[0].value), **fields}
    helper.set_model_props(model, {METADATA_KEY: ModelCard.from_json(card).dumps()})


def other_weights(model):
    """Another network: one weight tensor has the other sign."""
    weights = next(tensor for tensor in model.graph.initializer if len(tensor.dims) == 4)
    weights.CopyFrom(numpy_helper.from_array(-numpy_helper.to_array(weights), weights.name))


def turned(model):
    """The same network with its classes in another order, and the card with them."""
    indices = numpy_helper.from_array(np.array([2, 0, 1]), "order")
    model.graph.initializer.append(indices)
    for node in model.graph.node:
        node.output[:] = ["unordered" if name == "logits" else name for name in node.output]
    model.graph.node.append(helper.make_node("Gather", ["unordered", "order"], ["logits"], axis=1))
    classes = json.loads(model.metadata_props[0].value)["classes"]
    with_card(model, classes=[classes[2], classes[0], classes[1]])


def test_a_run_and_its_file_agree_on_the_validation_split(cli, run):
    done = cli("verify", "mine", run / "model.onnx", "--json", "-")
    assert done.code == 0, done.stderr
    facts = json.loads(done.stdout)
    assert facts.keys() == {"schema", "reference", "verified", "images", "parity"}
    assert (facts["reference"], facts["verified"]) == ("mine", str(run / "model.onnx"))
    assert facts["images"].startswith("the validation split of ")
    exported = read_card(run / "model.onnx").to_json()["parity"]
    assert facts["parity"].keys() == exported.keys()
    assert facts["parity"]["images"] == exported["images"] == 6
    assert facts["parity"]["passed"]
    assert facts["parity"]["accuracy"] == facts["parity"]["reference_accuracy"]


def test_the_order_of_run_and_file_does_not_matter(cli, run, tmp_path):
    done = cli("verify", run / "model.onnx", "mine", "--json", "found.json")
    assert done.code == 0, done.stderr
    assert "PASSED" in done.stdout
    assert json.loads((tmp_path / "found.json").read_text())["reference"] == "mine"


def test_a_run_agrees_with_itself_in_torch(run):
    assert clsbench.verify("mine", run).passed


def test_another_network_is_told_with_the_stage(cli, run, photos):
    changed(run / "model.onnx", "other.onnx", other_weights)
    done = cli("verify", "mine", "other.onnx", "--images", photos / "val", "--gate-n", 4)
    assert done.code == 3
    for words in (
        "FAILED",
        "to blame: graph: the same input gives other scores",
        "normalise",
        "another top-1",
        "the smallest tolerance",
        "accuracy",
    ):
        assert words in done.stdout
    loose = cli("verify", "mine", "other.onnx", "--tolerance", 1)
    assert loose.code == 0, loose.stdout


def test_a_file_with_another_resize_is_told(cli, run, photos):
    def squashed(model):
        card = json.loads(model.metadata_props[0].value)
        with_card(model, transform={**card["transform"], "resize": "squash"})

    changed(run / "model.onnx", "other.onnx", squashed)
    done = cli("verify", run / "model.onnx", "other.onnx", "--images", photos / "val", "--tolerance", "1e-7")
    assert done.code == 3
    assert "to blame: resize: size, resize, crop_fraction, interpolation or padding are others" in done.stdout
    assert f"they state another resize: crop in {run / 'model.onnx'}, squash in other.onnx" in done.stderr


def test_classes_in_another_order_are_compared_by_name(cli, run, photos):
    changed(run / "model.onnx", "turned.onnx", turned)
    for pair in (("mine", "turned.onnx"), ("turned.onnx", "mine"), ("turned.onnx", run / "model.onnx")):
        done = cli("verify", *pair, "--images", photos / "val")
        assert done.code == 0, done.stdout + done.stderr


def test_a_calibrated_file_is_held_to_its_run_at_its_own_temperature(run):
    changed(run / "model.onnx", "calibrated.onnx", lambda model: with_card(model, temperature=2.5))
    assert clsbench.verify("mine", "calibrated.onnx").passed
    result = clsbench.verify(run / "model.onnx", "calibrated.onnx", images=run.parent.parent / "photos/val")
    assert (result.passed, result.report.blamed) == (False, "temperature")


def test_other_classes_are_refused_by_name(refused, run, photos, tiny_onnx):
    changed(run / "model.onnx", "other.onnx", lambda model: with_card(model, classes=["blue", "green", "pink"]))
    refused(1, ["different classes", "only mine: red", "only other.onnx: pink"], "verify", "mine", "other.onnx")


def test_two_files_need_images(refused, run, photos, tmp_path):
    file = run / "model.onnx"
    refused(2, ["no images", "--images"], "verify", file, file)
    refused(1, ["nowhere"], "verify", file, file, "--images", tmp_path / "nowhere")
    (tmp_path / "empty").mkdir()
    refused(1, ["no images"], "verify", file, file, "--images", tmp_path / "empty")


def test_images_that_are_gone_are_asked_for(refused, run, photos):
    shutil.rmtree(photos)
    refused(1, ["which the gate needs", "verify --images DIR"], "verify", "mine", run / "model.onnx")


def test_what_is_neither_a_run_nor_a_file_is_refused(refused, run, tiny_onnx, tmp_path):
    refused(1, ["no run and no model file 'yours'", "clsbench runs"], "verify", "mine", "yours")
    changed(tiny_onnx, "bare.onnx", lambda model: model.metadata_props.pop())
    refused(2, ["neither of the two", "clsbench adopt"], "verify", "bare.onnx", "bare.onnx")
    (tmp_path / "text.onnx").write_text("text")
    refused(1, ["text.onnx"], "verify", "mine", "text.onnx")


def test_the_function_raises_what_the_command_tells(run, tiny_onnx):
    with pytest.raises(ModelError, match="no run and no model file"):
        clsbench.verify("mine", "yours")
    with pytest.raises(OptionError, match="no images"):
        clsbench.verify(tiny_onnx, tiny_onnx)


def test_names_of_images_stay_out_of_the_terminal_and_the_card(cli, run, photos):
    odd = photos / "val" / "red" / "a\x1b[31m.png"
    shutil.copy(photos / "val" / "red" / "0.png", odd)
    changed(run / "model.onnx", "other.onnx", other_weights)
    done = cli("verify", "mine", "other.onnx", "--images", photos / "val")
    assert "\x1b[31m" not in done.stdout


@pytest.mark.parametrize(("environment", "coloured"), [("FORCE_COLOR", True), ("NO_COLOR", False)])
def test_the_verdict_is_in_colour_where_the_terminal_is(environment, coloured, cli, run, monkeypatch):
    monkeypatch.setenv(environment, "1")
    assert ("\x1b[1;32mPASSED" in cli("verify", "mine", run / "model.onnx").stdout) == coloured
    changed(run / "model.onnx", "other.onnx", other_weights)
    assert ("\x1b[1;31mFAILED" in cli("verify", "mine", "other.onnx").stdout) == coloured


def test_an_export_that_does_not_pass_says_why_and_writes_nothing(cli, run, monkeypatch):
    def translated_wrongly(classifier):
        model = to_onnx(classifier)
        other_weights(model)
        return model

    monkeypatch.setattr("clsbench.exporting.exporter.to_onnx", translated_wrongly)
    before = (run / "model.onnx").read_bytes()
    done = cli("export", "mine", "--json", "export.json")
    assert done.code == 3
    assert "FAILED" in done.stdout
    assert "to blame: graph" in done.stdout
    assert "was not written" in done.stderr
    assert (run / "model.onnx").read_bytes() == before
    facts = json.loads(Path("export.json").read_text())
    assert (facts["file"], facts["parity"]["blamed"]) == (None, "graph")
    assert [stage["stage"] for stage in facts["parity"]["stages"]] == [
        "decode",
        "resize",
        "normalise",
        "graph",
        "batch",
    ]


def test_float16_is_exported_by_name_and_held_to_its_own_tolerance(cli, run, photos, tmp_path):
    done = cli("export", "--precision", "fp16", "--out", "half.onnx")
    assert done.code == 0, done.stderr
    assert "float16 is for GPUs" in done.stderr
    assert read_card(tmp_path / "half.onnx").precision == "float16"
    for other in ("mine", run / "model.onnx"):
        found = clsbench.verify(other, tmp_path / "half.onnx", images=photos / "val")
        assert (found.passed, found.report.tolerance) == (True, 0.02)
    same = clsbench.verify("half.onnx", tmp_path / "half.onnx", images=photos / "val")
    assert same.report.tolerance == 0.001


def test_an_unknown_precision_is_refused(run):
    with pytest.raises(OptionError, match="unknown precision"):
        clsbench.export("mine", precision="float8")
