"""``clsbench evaluate RUN``: from a run to the figures of the images that it was not trained on, in one command."""

import json
import shlex
import shutil
from pathlib import Path

import onnx
import pytest

import clsbench
from clsbench.api.trained_on import trained_on
from clsbench.errors import DataError, OptionError

TINY = ("--epochs", 2, "--batch-size", 8, "--device", "cpu", "--with", "model.size=16", "--with", "model.channels=4",
        "--with", "model.width=8")  # fmt: skip


@pytest.fixture
def photos(paint):
    return paint("photos/{colour}/{k}.png", 10)


@pytest.fixture
def run(trained, photos, without_curves):
    """What ``train --json`` says of a run with a test split, which has not been exported."""
    return trained(photos, *TINY, "--test-fraction", 0.2, "--run", "mine")


@pytest.fixture
def evaluated(cli):
    """evaluated(…): what --json says, after checking that all went well."""

    def evaluate(*arguments):
        done = cli("evaluate", *arguments, "--json", "facts.json")
        assert done.code == 0, done.stderr
        return json.loads(Path("facts.json").read_text(encoding="utf-8"))

    return evaluate


def test_a_run_is_exported_and_judged_on_its_own_test_images(run, evaluated):
    facts = evaluated("mine")
    assert Path("runs/mine/model.onnx").is_file()
    assert facts["predictions"] == "runs/mine/test.csv"
    assert facts["metrics"]["top1"]["value"] == pytest.approx(run["result"]["test_accuracy"])
    lines = Path("runs/mine/test.csv").read_text().splitlines()[1:]
    assert sorted(line.split(",")[0] for line in lines) == sorted(run["splits"]["test"])


def test_images_that_the_model_was_trained_on_are_told_apart(run, photos, cli, evaluated):
    """The figures of all of a run's images look better than those of the images that it has not seen."""
    evaluated("mine")
    seen = 30 - len(run["splits"]["val"]) - len(run["splits"]["test"])
    words = f"the model was trained on {seen} of 30 images here"
    assert words in cli("infer", photos, "--model", "runs/mine/model.onnx", "--out", "all.csv").stderr
    assert evaluated("all.csv")["predictions"] == "all.csv"
    assert words in cli("evaluate", "all.csv", "--html", "all.html").stderr
    assert words in Path("all.html").read_text(encoding="utf-8")
    assert words in cli("export", "mine", "--calibrate", "--calibrate-images", photos, "--out", "c.onnx").stderr
    red = [f"{k}.png" for k in range(10)]
    held_out = [name for name in (*run["splits"]["val"], *run["splits"]["test"]) if name.startswith("red/")]
    assert f"on {10 - len(held_out)} of 10 images" in trained_on("runs/mine/model.onnx", photos / "red", red)
    assert trained_on("runs/mine/model.onnx", photos / "red", [Path(name).name for name in held_out]) is None
    assert trained_on("runs/mine/model.onnx", photos.parent, red) is None
    assert "trained on" not in cli("evaluate", "mine").stderr
    shutil.move("runs/mine/model.onnx", "alone.onnx")
    assert "trained on" not in cli("infer", photos, "--model", "alone.onnx").stderr


def test_a_model_file_of_an_earlier_epoch_is_not_judged_in_place_of_the_best(run, cli, evaluated):
    """Such as that of a run which was exported while it trained."""
    evaluated("mine")
    model = onnx.load("runs/mine/model.onnx")
    (card,) = model.metadata_props
    known = {"target": 0.9, "images": 30, "folds": 5, "kept": 27, "correct": 26, "precision": 0.96,
             "precision_interval": [0.8, 1], "coverage": 0.9, "coverage_interval": [0.7, 1]}  # fmt: skip
    card.value = json.dumps({**json.loads(card.value), "abstain_below": 0.8, "abstention": known})
    onnx.save(model, "runs/mine/model.onnx")
    record = Path("runs/mine/run.json")
    facts = json.loads(record.read_text())
    facts["result"]["best_epoch"] += 1
    record.write_text(json.dumps(facts))
    done = cli("evaluate", "mine")
    assert "is better by now" in done.stderr
    assert "its temperature and threshold are not those of the new weights and are dropped" in done.stderr
    assert clsbench.inspect("runs/mine/model.onnx").card.training["best_epoch"] == facts["result"]["best_epoch"]
    assert "is better by now" not in cli("evaluate", "mine").stderr


@pytest.mark.parametrize("arguments", [["runs/mine", "--split", "val"], ["--split", "val"]])
def test_the_validation_split_gives_what_training_said(run, evaluated, arguments):
    facts = evaluated(*arguments)
    assert facts["counts"]["total"] == run["counts"]["val"]
    assert facts["metrics"]["top1"]["value"] == pytest.approx(run["result"]["val_accuracy"])


def test_a_page_and_the_next_commands(run, cli):
    done = cli("evaluate", "mine", "--html", "page.html")
    assert "<img" in Path("page.html").read_text(encoding="utf-8"), "the images of the run are shown unasked"
    (line,) = [line for line in done.stderr.splitlines() if line.startswith("next: ")]
    assert shlex.split(line)[1:][:3] == ["clsbench", "show", "runs/mine/test.csv"]
    lines = [line for line in cli("evaluate", "mine").stderr.splitlines() if line.startswith("next: clsbench report")]
    assert cli(*shlex.split(lines[0])[2:]).code == 0


def test_training_names_the_command_and_ends_with_the_scores_of_each_class(cli, photos, without_curves):
    done = cli("train", photos, *TINY, "--test-fraction", 0.2, "--run", "mine", "--json", "facts.json")
    assert "Per class (test split)" in done.stdout
    assert "then judges its test split" in done.stderr
    facts = json.loads(Path("facts.json").read_text())
    assert facts["held_out"]["split"] == "test"
    (line,) = [line for line in done.stderr.splitlines() if line.startswith("next: clsbench evaluate")]
    judged = cli(*shlex.split(line, comments=True)[2:], "--json", "judged.json")
    assert judged.code == 0, judged.stderr
    assert json.loads(Path("judged.json").read_text())["metrics"]["per_class"] == facts["held_out"]["per_class"]


def test_without_a_test_split_the_validation_split_is_judged_and_that_is_said(cli, photos, without_curves):
    done = cli("train", photos, *TINY, "--run", "mine")
    assert "Per class (validation split)" in done.stdout
    assert "then judges its validation split" in done.stderr
    done = cli("evaluate", "mine")
    assert done.code == 0
    assert "somewhat too high" in done.stderr
    assert Path("runs/mine/val.csv").is_file()
    with pytest.raises(OptionError, match="no test split"):
        clsbench.evaluate(run="mine", split="test")


def test_images_that_are_gone_are_an_error_and_not_a_smaller_test(run, photos, refused):
    name = run["splits"]["test"][0]
    (photos / name).unlink()
    refused(1, ["1 of the 6 images of the run's test split", name, "bring them back"], "evaluate", "mine")
    shutil.rmtree(photos)
    refused(1, ["the images of the run cannot be read", "photos", "bring them back"], "evaluate", "mine")


def test_wrong_usage(run, refused, photos):
    refused(1, ["no run and no predictions file 'yours'", "mine"], "evaluate", "yours")
    refused(1, ["no predictions file", "clsbench infer", "--out preds.csv"], "evaluate", photos)
    refused(2, ["already determines", "--labels"], "evaluate", "mine", "--labels", "x.csv")
    refused(1, ["cannot be read", "gone.csv"], "evaluate", "gone.csv")
    Path("p.csv").write_text("path,label,predicted\n1.png,red,red\n2.png,blue,blue\n")
    refused(2, ["either a predictions file or a run"], "evaluate", "p.csv", "--split", "val")


def test_in_python_a_run_is_an_argument_of_its_own(run):
    found = clsbench.evaluate(run="mine")
    assert (found.file, found.counts.judged) == (Path("runs/mine/test.csv"), run["counts"]["test"])
    assert clsbench.evaluate(run=Path("runs/mine"), split="val").counts.judged == run["counts"]["val"]
    with pytest.raises(DataError, match="cannot be read"):
        clsbench.evaluate("gone.csv")
