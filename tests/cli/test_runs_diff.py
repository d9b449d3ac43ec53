"""``clsbench runs diff``: what was done differently, and what came of it."""

import json

import pytest

import clsbench
from clsbench import runs
from clsbench.errors import OptionError
from clsbench.json_fields import write_json


@pytest.fixture
def make(tmp_path):
    """make(name, lr=…, …): a run of simple-cnn on four photos, two of which validate."""

    def run(name, *, val=("c.png", "d.png"), accuracy=0.5, options=None, torch="2.11", fingerprint=None, **training):
        made = runs.create(name, default="x", root=tmp_path / "runs")
        record = {
            "schema": 3, "torch": torch, "data": {"dataset": "clsbench/folder", "root": "/photos"},
            "model": {"name": "clsbench/simple-cnn", "options": options or {}},
            "fingerprint": fingerprint or {}, "training": {"recipe": "scratch", "epochs": 3, "lr": 0.005, **training},
            "classes": ["ant", "bee"], "transform": {"size": [8, 8]}, "status": "finished",
            "splits": {"val": list(val), "test": [], "train": {"count": 2, "sha256": "1"}},
            "result": {"epochs": 3, "best_epoch": 2, "val_accuracy": accuracy, "val_loss": 0.5, "test_accuracy": None,
                       "seconds": 1.0},
        }  # fmt: skip
        write_json(made.record, record)
        return made

    return run


@pytest.fixture
def narrow(cli, monkeypatch):
    monkeypatch.setenv("COLUMNS", "80")
    return cli


def rows(text):
    return {line.split()[0]: line.split()[1:] for line in text.splitlines() if line.strip()}


def test_only_what_differs_is_shown_and_metrics_side_by_side(narrow, make):
    make("a", accuracy=0.5)
    make("b", accuracy=0.625, lr=0.01, options={"width": 8})
    done = narrow("runs", "diff", "a", "b")
    assert done.code == 0, done.stderr
    settings, metrics = done.stdout.split("Metrics")
    found = rows(settings)
    assert found["lr"] == ["0.005", "0.01"]
    assert found["model.width"] == ["-", "8"]
    assert {"recipe", "torch", "data.root"}.isdisjoint(found)
    assert ["val", "accuracy", "50.00%", "62.50%", "+12.50", "points"] in [
        line.split() for line in metrics.splitlines()
    ]
    assert done.stderr == ""
    assert max(map(len, done.stdout.splitlines())) <= 80


def test_all_shows_what_is_the_same_too_and_json_has_the_same_facts(narrow, make):
    make("a")
    make("b", torch="2.12")
    make("c", lr=0.02)
    done = narrow("runs", "diff", "a", "b", "c", "--all", "--json", "facts.json")
    found = rows(done.stdout)
    assert found["torch"] == ["2.11", "2.12", "2.11"]
    assert found["epochs"] == ["3", "3", "3"]
    with open("facts.json", encoding="utf-8") as file:
        facts = json.load(file)
    assert facts["runs"] == ["a", "b", "c"]
    assert {"name": "lr", "values": [0.005, 0.005, 0.02]} in facts["settings"]
    assert {"name": "data.root", "values": ["/photos"] * 3} in facts["settings"]
    assert {"name": "val_accuracy", "values": [0.5, 0.5, 0.5]} in facts["metrics"]
    assert facts["same_validation"] is True


def test_of_fingerprints_it_is_told_what_differs_of_images_of_the_same_names(narrow, make):
    base = {"images": 2, "names": "1" * 64, "labels": "2" * 64, "contents": "3" * 64}
    make("a", fingerprint={"train": base, "val": base})
    make("b", fingerprint={"train": {**base, "contents": "4" * 64}, "val": {**base, "labels": "5" * 64}})
    done = narrow("runs", "diff", "a", "b")
    found = rows(done.stdout)
    assert found["images.train"] == ["2", "images", "2", "images,", "other", "contents"]
    assert found["images.val"] == ["2", "images", "2", "images,", "other", "labels"]
    assert "fingerprint" not in done.stdout


def test_runs_that_were_validated_on_other_images_are_told_apart(narrow, make):
    make("a")
    make("b", val=("a.png", "d.png", "e.png"))
    done = narrow("runs", "diff", "a", "b")
    assert "validated on different images" in done.stderr
    assert "2 images   3 images, 2 of them new" in done.stdout


def test_runs_that_are_the_same_say_so(narrow, make):
    make("a")
    make("b")
    assert "no setting differs" in narrow("runs", "diff", "a", "b").stdout


def test_text_of_strangers_stays_on_its_line(narrow, make):
    make("a")
    make("b", head="x\x1b[31m\nnext: rm")
    assert "x?[31m?next: rm" in narrow("runs", "diff", "a", "b").stdout


@pytest.mark.parametrize(
    ("code", "names", "words"),
    [
        (2, ["a"], ["two runs or more"]),
        (2, ["a", "runs/a"], ["named twice"]),
        (1, ["a", "z"], ["there is no run 'z'", "one of a"]),
    ],
)
def test_wrong_usage(refused, make, code, names, words):
    make("a")
    refused(code, words, "runs", "diff", *names)


def test_in_python_it_is_a_table(make, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    make("a")
    make("b", lr=0.01)
    table = clsbench.diff_runs("a", "b").to_arrow().to_pylist()
    assert table[0] == {"kind": "setting", "name": "lr", "a": "0.005", "b": "0.01"}
    with pytest.raises(OptionError, match="two runs"):
        clsbench.diff_runs()
