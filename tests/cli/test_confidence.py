"""Calibrated probabilities and abstentions, from ``export`` to ``evaluate``."""

import csv
import json
import shutil
from dataclasses import replace
from pathlib import Path

import numpy as np
import onnx
import pyarrow.parquet
import pytest
from scipy.special import softmax
from sklearn.metrics import log_loss

import clsbench
from clsbench.card import METADATA_KEY
from clsbench.errors import DataError, OptionError
from clsbench.model_file import read_card

TINY = ("--epochs", 3, "--device", "cpu", "--with", "model.size=16", "--with", "model.channels=4",
        "--with", "model.width=8", "--run", "mine")  # fmt: skip


@pytest.fixture
def run(trained, without_curves):
    return trained(*TINY)


@pytest.fixture
def with_threshold(tiny_onnx, tmp_path):
    """with_threshold(0.9, temperature=8.0): the tiny model, whose card says so."""
    return lambda below, **changes: changed(tiny_onnx, tmp_path / "other.onnx", abstain_below=below, **changes)


def changed(file, out, **changes):
    """A copy of a model with another card."""
    model = onnx.load(file)
    onnx.helper.set_model_props(model, {METADATA_KEY: replace(read_card(file), **changes).dumps()})
    onnx.save(model, out)
    return out


@pytest.fixture
def images(photos):
    """Six labelled images, a damaged one, and a grey one that is no colour."""
    (photos / "val" / "red" / "torn.png").write_bytes((photos / "val" / "red" / "0.png").read_bytes()[:50])
    from PIL import Image

    Image.new("RGB", (20, 20), (101, 100, 100)).save(photos / "val" / "red" / "grey.png")
    return photos / "val"


def rows_of(file):
    with open(file, newline="") as lines:
        return list(csv.DictReader(lines))


def test_a_run_is_calibrated_on_its_validation_split(run, cli):
    """Against the probabilities of the file without a temperature, and scipy and scikit-learn."""
    done = cli("export", "mine", "--calibrate", "--abstain-at-precision", "0.8", "--json", "export.json")
    assert done.code == 0, done.stderr
    for words in ("Calibration: temperature", "log loss (nats)", "(ECE)", "Abstains below", "coverage: share kept"):
        assert words in done.stdout
    card = read_card(Path("runs/mine/model.onnx"))
    facts = json.loads(Path("export.json").read_text())["card"]
    assert (facts["temperature"], facts["abstain_below"]) == (card.temperature, card.abstain_below)
    assert facts["calibration"]["images"] == facts["abstention"]["images"] == len(run["splits"]["val"])
    assert card.calibration.log_loss_after < card.calibration.log_loss_before
    assert card.calibration.ece_after < card.calibration.ece_before
    changed(
        Path("runs/mine/model.onnx"),
        "plain.onnx",
        temperature=None,
        calibration=None,
        abstain_below=None,
        abstention=None,
    )

    judged = {}
    for name, model in (("plain", "plain.onnx"), ("calibrated", "runs/mine/model.onnx")):
        options = ("--dataset", "digits", "--probabilities", "--batch-size", 8, "--device", "cpu")
        assert cli("infer", *options, "--model", model, "--out", f"{name}.csv").code == 0
        judged[name] = rows_of(f"{name}.csv")
    names = [column for column in judged["plain"][0] if column.startswith("p:")]
    before, after = (
        np.array([[float(row[name]) for name in names] for row in judged[key]]) for key in ("plain", "calibrated")
    )
    before /= before.sum(axis=1, keepdims=True)
    expected = softmax(np.log(np.maximum(before, 1e-37)) / card.temperature, axis=1)
    np.testing.assert_allclose(after, expected, atol=2e-4)
    held_out = [row["path"] in run["splits"]["val"] for row in judged["plain"]]
    labels = np.array([names.index(f"p:{row['label']}") for row in judged["plain"]])[held_out]
    assert log_loss(labels, before[held_out]) == pytest.approx(card.calibration.log_loss_before, rel=1e-3)
    after /= after.sum(axis=1, keepdims=True)
    assert log_loss(labels, after[held_out]) < log_loss(labels, before[held_out])

    assert "abstained" not in judged["plain"][0]
    for row in judged["calibrated"]:
        assert (row["abstained"] == "true") == (float(row["confidence"]) < card.abstain_below)
    shown = cli("inspect", "runs/mine/model.onnx").stdout
    assert f"{card.temperature:.6g}" in shown
    assert "abstention.target" in shown


def test_labelled_images_stand_in_for_the_validation_split_which_a_foreign_model_has_not(run, cli, refused, paint):
    assert cli("datasets", "--run", "mine", "--split", "val", "--write", "val").code == 0
    for file in list(Path("val/3").iterdir())[:2]:
        file.write_bytes(b"no image")
    shutil.copy("runs/mine/best.safetensors", "theirs.safetensors")
    Path("classes.txt").write_text("\n".join("0123456789"))
    wanted = ["export", "--model", "simple-cnn", "--weights", "theirs.safetensors", "--classes", "classes.txt",
              *TINY[4:-2], "--calibrate", "--out", "theirs.onnx"]  # fmt: skip
    refused(2, ["has no validation images", "--calibrate-images DIR"], *wanted)
    done = cli(*wanted, "--calibrate-images", "val")
    assert done.code == 0, done.stderr
    assert "cannot be read: 2 of 287" in done.stderr
    found = read_card(Path("theirs.onnx")).calibration
    assert (found.images, found.unreadable) == (285, 2)

    shutil.rmtree("val/0")
    Path("val/9").rename("val/nine")
    refused(1, ["nine"], "export", "mine", "--calibrate", "--calibrate-images", "val", "--out", "b.onnx")
    few = paint("few/{colour}/{k}.png", 2)
    words = ["none of these images has a label", "folders named as the classes"]
    refused(1, words, "export", "mine", "--calibrate", "--calibrate-images", few, "--out", "b.onnx")
    words = ["too few labelled images", "at least 10,000", "--calibrate-images"]
    refused(1, words, "export", "mine", "--abstain-at-precision", 0.9999, "--out", "b.onnx")
    assert not Path("b.onnx").exists()


@pytest.mark.parametrize(
    ("words", "arguments"),
    [
        (["share", "between 0 and 1"], ["--abstain-at-precision", 99]),
        (["would not be used", "--calibrate"], ["--calibrate-images", "x"]),
    ],
)
def test_options_that_say_nothing_are_refused(refused, words, arguments):
    refused(2, words, "export", *arguments)


@pytest.mark.parametrize("suffix", ["csv", "jsonl", "parquet"])
def test_what_is_below_the_threshold_is_marked_in_every_format(images, with_threshold, tmp_path, suffix):
    model, out = with_threshold(0.9), tmp_path / f"preds.{suffix}"
    result = clsbench.infer(images, model=model, out=out, batch_size=2, device="cpu")
    assert (result.abstained.count, result.abstained.classified, result.abstained.below) == (1, 7, 0.9)
    assert json.loads((tmp_path / f"preds.{suffix}.json").read_text())["abstained"] == result.abstained.to_json()
    rows = {"csv": rows_of, "parquet": lambda file: pyarrow.parquet.read_table(file).to_pylist(),
            "jsonl": lambda file: list(map(json.loads, file.read_text().splitlines()))}[suffix](out)  # fmt: skip
    marks = {row["path"]: row["abstained"] for row in rows}
    told = {True: "true", False: "false", None: ""} if suffix == "csv" else {k: k for k in (True, False, None)}
    assert marks.pop("red/grey.png") == told[True]
    assert marks.pop("red/torn.png") == told[None]
    assert set(marks.values()) == {told[False]}
    assert next(row for row in rows if row["path"] == "red/grey.png")["predicted"] == "red"
    assert result.to_arrow().column("abstained").to_pylist() == [
        {"true": True, "false": False, "": None}.get(row["abstained"], row["abstained"]) for row in rows
    ]

    found = clsbench.evaluate(out)
    kept, right = found.find("kept", clsbench.Proportion), found.find("kept_top1", clsbench.Proportion)
    assert (kept.correct, kept.total, right.correct, right.total) == (6, 7, 6, 6)
    again = clsbench.infer(images, model=model, out=out, batch_size=2, device="cpu", resume=True)
    assert again.abstained == result.abstained


def test_chosen_columns_and_another_threshold(images, with_threshold, tiny_onnx, cli, refused):
    model = with_threshold(0.9)
    wanted = ("--columns", "abstained,path,label,predicted")
    done = cli("infer", images, "--model", model, "--out", "a.csv", *wanted)
    assert "abstained: 1 of 7 (14.3%), below 0.9" in done.stdout
    assert list(rows_of("a.csv")[0]) == wanted[1].split(",")
    none = cli("infer", images, "--model", model, "--out", "b.csv", "--abstain-below", 0.3)
    assert "abstained: 0 of 7 (0.0%), below 0.3" in none.stdout
    every = cli("infer", images, "--model", tiny_onnx, "--out", "c.csv", "--abstain-below", 1)
    assert "below 1" in every.stdout
    refused(2, ["no column 'abstained'", "--abstain-below"], "infer", images, "--model", tiny_onnx, *wanted)
    refused(2, ["the threshold is a probability"], "infer", images, "--model", model, "--abstain-below", 1.5)
    refused(1, ["finished", "something has changed"], "infer", images, "--model", model, "--out", "b.csv", "--resume")
    assert "abstained" not in cli("infer", images, "--model", tiny_onnx, "--out", "d.csv", "--json", "-").stdout


def test_shards_become_the_whole(images, with_threshold, tmp_path):
    model, options = with_threshold(0.9), {"batch_size": 2, "device": "cpu"}
    files = [tmp_path / f"{k}.csv" for k in (1, 2, 3)]
    for k, file in enumerate(files, 1):
        clsbench.infer(images, model=model, out=file, shard=f"{k}/3", **options)
    whole = clsbench.infer(images, model=model, out=tmp_path / "whole.csv", **options)
    merged = clsbench.merge(files, tmp_path / "merged.csv")
    assert merged.out.read_bytes() == (tmp_path / "whole.csv").read_bytes()
    assert merged.abstained == whole.abstained
    assert merged.to_json()["abstained"] == whole.to_json()["abstained"]
    assert merged.metrics.to_json() == whole.metrics.to_json()
    clsbench.infer(images, model=model, out=files[0], shard="1/3", overwrite=True, abstain_below=0.5, **options)
    with pytest.raises(DataError, match="another threshold"):
        clsbench.merge(files, tmp_path / "merged.csv", overwrite=True)


def test_predictions_in_python_and_answers_in_the_terminal_say_so(images, with_threshold, cli):
    model = with_threshold(0.9, temperature=2.0)
    with clsbench.load(model, device="cpu") as opened:
        found = {name: opened.predict(images / "red" / name) for name in ("0.png", "grey.png", "torn.png")}
    assert {name: one.abstained for name, one in found.items()} == {
        "0.png": False, "grey.png": True, "torn.png": False
    }  # fmt: skip
    assert found["grey.png"].label == "red"
    assert found["grey.png"].to_json()["abstained"] is True
    logits = np.array([101, 100, 100]) / 2
    assert found["grey.png"].confidence == pytest.approx(softmax(logits)[0], abs=1e-4)
    done = cli("infer", images, "--model", model, "--json", "facts.json")
    assert [line.split()[4] for line in done.stdout.splitlines() if "grey.png" in line] == ["yes"]
    told = {one["path"]: one.get("abstained") for one in json.loads(Path("facts.json").read_text())["predictions"]}
    assert (told["red/grey.png"], told["red/0.png"], told["red/torn.png"]) == (True, False, None)


def test_a_report_and_a_comparison_of_files_with_and_without_the_column(images, with_threshold, tiny_onnx, cli):
    for name, model in (("a", with_threshold(0.9)), ("b", tiny_onnx)):
        assert cli("infer", images, "--model", model, "--out", f"{name}.csv").code == 0
    done = cli("evaluate", "a.csv", "--html", "a.html", "--json", "a.json")
    assert "It abstains from 1 of them, 14.29%" in done.stdout
    assert "top1 of the kept" in done.stdout
    page = Path("a.html").read_text(encoding="utf-8")
    assert "Top-1 of the kept" in page
    assert "abstains below" in page
    metrics = json.loads(Path("a.json").read_text())["metrics"]
    assert (metrics["kept"]["correct"], metrics["kept_top1"]["value"]) == (6, 1.0)
    assert cli("evaluate", "b.csv", "--json", "b.json").code == 0
    assert "kept" not in json.loads(Path("b.json").read_text())["metrics"]
    assert cli("compare", "a.csv", "b.csv").code == 0


def test_a_column_of_another_tool_is_read(tmp_path):
    file = tmp_path / "theirs.csv"
    file.write_text("path,label,predicted,rejected\na,x,x,0\nb,x,y,1\nc,y,y,\n")
    found = clsbench.evaluate(file, columns="abstained=rejected")
    assert found.find("kept", clsbench.Proportion).correct == 2
    file.write_text("path,label,predicted,rejected\na,x,x,perhaps\n")
    with pytest.raises(DataError, match="cannot be read"):
        clsbench.evaluate(file, columns="abstained=rejected")


def test_the_threshold_of_the_python_function_is_checked(images, tiny_onnx):
    with pytest.raises(OptionError, match="the threshold is a probability"):
        clsbench.infer(images, model=tiny_onnx, abstain_below=0.0)
