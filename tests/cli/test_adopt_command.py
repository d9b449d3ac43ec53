"""``adopt`` as it is typed: what it prints, writes and refuses."""

import csv
import json

import numpy as np
import onnx
import pytest
from PIL import Image

from clsbench.card import METADATA_KEY
from tests.adopting.foreign_models import H, W, classifier

STATED = ["--resize", "squash", "--interpolation", "bilinear", "--channels", "rgb"]


@pytest.fixture
def world(tmp_path, monkeypatch):
    """A foreign file, its classes, and pictures in folders of these names."""
    monkeypatch.chdir(tmp_path)
    classifier(tmp_path / "theirs.onnx", classes=3)
    (tmp_path / "names.txt").write_text("ant\nbee\nfly\n", encoding="utf-8")
    random = np.random.default_rng(0)
    for name in ("ant", "bee", "fly"):
        (tmp_path / "photos" / name).mkdir(parents=True)
        for k in range(6):
            small = random.integers(0, 256, (4, 5, 3), np.uint8)
            Image.fromarray(small).resize((W, H)).save(tmp_path / "photos" / name / f"{k}.png")
    return tmp_path


def test_what_nobody_says_is_listed_and_refused(cli, world):
    done = cli("adopt", "theirs.onnx", "--classes", "names.txt", *STATED)
    assert done.code == 1
    rows = [line.split() for line in done.stderr.splitlines()]
    assert {row[1] for row in rows if row[:1] == ["guessed"]} == {"mean", "std"}
    assert {row[1] for row in rows if row[:1] == ["asked"]} == {"classes", "resize", "interpolation", "color"}
    assert "--yes" in done.stderr
    assert list(world.glob("*adopted*")) == []


def test_an_adopted_file_is_all_that_infer_needs(cli, world):
    done = cli("adopt", "theirs.onnx", "--classes", "names.txt", *STATED, "--yes", "--json", "adopted.json")
    assert done.code == 0, done.stderr
    assert "PASSED" in done.stdout
    facts = json.loads((world / "adopted.json").read_text())
    assert {each["field"]: each["how"] for each in facts["decisions"]}["mean"] == "guessed"
    (world / "theirs.onnx").unlink()
    assert cli("infer", "photos", "--model", "theirs-adopted.onnx", "--out", "preds.csv").code == 0
    with open("preds.csv", encoding="utf-8") as stream:
        rows = list(csv.DictReader(stream))
    assert len(rows) == 18
    assert {row["predicted"] for row in rows} <= {"ant", "bee", "fly"}


def test_verify_takes_the_original(cli, world):
    assert cli("adopt", "theirs.onnx", "--classes", "names.txt", *STATED, "--yes").code == 0
    done = cli("verify", "theirs.onnx", "theirs-adopted.onnx", "--images", "photos")
    assert (done.code, "PASSED" in done.stdout) == (0, True)
    classifier(world / "theirs.onnx", classes=3, seed=1)
    done = cli("verify", "theirs.onnx", "theirs-adopted.onnx", "--images", "photos")
    assert done.code == 3
    assert "to blame: graph" in done.stdout


def test_check_ranks_what_is_not_certain_and_names_the_next_command(cli, world):
    done = cli("adopt", "theirs.onnx", "--classes", "names.txt", *STATED, "--check", "photos", "--json", "check.json")
    assert done.code == 0, done.stderr
    tried = json.loads((world / "check.json").read_text())["candidates"]
    assert len(tried) == 6
    assert {each["transform"]["resize"] for each in tried} == {"squash"}
    assert "clsbench adopt theirs.onnx" in done.stderr
    assert list(world.glob("*adopted*")) == []


def test_check_and_out_exclude_each_other(cli, world):
    done = cli("adopt", "theirs.onnx", "--classes", "names.txt", "--check", "photos", "--out", "ours.onnx")
    assert done.code == 2


@pytest.mark.parametrize("batch", ["batch", 1])
def test_a_card_that_lies_about_the_normalisation_is_found_in_the_file(cli, world, batch):
    classifier(world / "theirs.onnx", classes=3, batch=batch)
    assert cli("adopt", "theirs.onnx", "--classes", "names.txt", *STATED, "--yes").code == 0
    model = onnx.load("theirs-adopted.onnx")
    card = next(entry for entry in model.metadata_props if entry.key == METADATA_KEY)
    told = json.loads(card.value)
    told["transform"]["mean"] = [0.9, 0.1, 0.5]
    card.value = json.dumps(told)
    onnx.save(model, "lying.onnx")
    done = cli("verify", "theirs.onnx", "lying.onnx", "--images", "photos")
    assert (done.code, "to blame: normalise" in done.stdout) == (3, True)


def test_folders_of_no_class_leave_confidence_and_say_how_they_should_be_called(cli, world):
    (world / "photos").rename(world / "others")
    for folder in (world / "others").iterdir():
        folder.rename(folder.with_name(f"{folder.name}s"))
    done = cli("adopt", "theirs.onnx", "--classes", "names.txt", *STATED, "--check", "others")
    assert done.code == 0, done.stderr
    assert "name the folders as the model does, such as ant, bee, fly" in done.stderr
    assert "--labels" not in done.stderr
    assert "only a hint" in done.stdout
