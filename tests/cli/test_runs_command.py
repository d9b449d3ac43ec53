"""``clsbench runs``: every run with its best metrics, finished or not."""

import json
import os
from pathlib import Path

import pytest

from clsbench import runs
from clsbench.json_fields import write_json

pytestmark = pytest.mark.usefixtures("without_curves")


@pytest.fixture
def make(tmp_path):
    """make(name, val_accuracy, …): a run directory as training leaves it; without an accuracy, unfinished."""

    def run(name, val_accuracy=None, *, model="clsbench/simple-cnn", test_accuracy=None, seconds=12.4):
        made = runs.create(name, default="x", root=tmp_path / "runs")
        best = {"epochs": 3, "best_epoch": 2, "val_loss": 0.5}
        result = {**best, "val_accuracy": val_accuracy, "test_accuracy": test_accuracy, "seconds": seconds}
        config = {
            "schema": 2,
            "data": {"dataset": "clsbench/folder", "root": "/data/photos"},
            "model": {"name": model},
            "training": {"recipe": "scratch", "epochs": 3},
            "classes": ["ant", "bee"],
            "transform": {"size": [8, 8]},
        }
        write_json(made.record, config if val_accuracy is None else {**config, "result": result})
        return made

    return run


@pytest.fixture
def listed(cli):
    """listed(…): the entries of --json, after checking that all went well."""

    def run(*arguments):
        done = cli("runs", *arguments, "--json", "runs.json")
        assert done.code == 0, done.stderr
        return json.loads(Path("runs.json").read_text(encoding="utf-8"))["runs"]

    return run


def row(done, name):
    return next(line.split() for line in done.stdout.splitlines() if line.strip().startswith(name))


def test_each_run_has_a_row_and_the_best_a_star(cli, make):
    make("weak", 0.25)
    make("strong", 0.9712, model="clsbench/resnet18", test_accuracy=0.95, seconds=101.7)
    done = cli("runs")
    assert done.code == 0, done.stderr
    assert row(done, "weak") == ["weak", "simple-cnn", "scratch", "3", "25.00%", "-", "12"]
    assert row(done, "strong") == ["strong", "resnet18", "scratch", "3", "97.12%", "*", "95.00%", "102"]
    assert done.stdout.count("strong") == 1, "the link `latest` is no run"


def test_a_trained_run_is_listed_with_what_training_said(trained, listed, paint):
    folder = paint("photos/{colour}/{k}.png", 6)
    facts = trained(folder, "--with", "model.size=8", "--epochs", 2, "--test-fraction", 0.2, "--run", "mine")
    (run,) = listed()
    for key in ("val_accuracy", "test_accuracy", "seconds"):
        assert run[key] == facts["result"][key]
    wanted = {"run": "mine", "model": "simple-cnn", "recipe": "scratch", "epochs": 2, "classes": 3, "exported": False}
    assert run.items() >= wanted.items()
    assert run["data"] == str(folder)


def test_sorted_by_time_or_by_accuracy(listed, make):
    for name, accuracy in {"c": 0.5, "a": None, "b": 0.75}.items():
        make(name, accuracy)
    assert [run["run"] for run in listed()] == ["c", "a", "b"]
    assert [run["run"] for run in listed("--sort", "accuracy")] == ["b", "c", "a"]


def test_exporting_an_older_run_does_not_make_it_the_newest(listed, make):
    older = make("older", 0.5)
    make("newer", 0.5)
    older.onnx.write_bytes(b"exported")
    assert [(run["run"], run["exported"]) for run in listed()] == [("older", True), ("newer", False)]


def test_an_unfinished_run_says_so(cli, make):
    make("cut", None)
    done = cli("runs")
    assert row(done, "cut") == ["cut", "simple-cnn", "scratch", "0/3", "-", "-", "unfinished"]
    assert "not finished (still training, or killed): cut" in done.stdout


def test_an_unfinished_run_cannot_be_exported(cli, make):
    make("cut", None)
    done = cli("export", "cut")
    assert done.code == 1
    assert "the run has not finished" in done.stderr
    assert "before its first epoch had ended" in done.stderr


DAMAGED = [
    b"", b"{", b"[1]", b"\xff", b'{"result": 3}', b'{"training": "x"}', b'{"classes": 3}', b'{"data": [1]}',
    b'{"model": {"name": 7}, "result": {"val_accuracy": "good", "seconds": []}}',
]  # fmt: skip


@pytest.mark.parametrize("content", DAMAGED, ids=lambda content: content.decode("latin-1"))
def test_a_damaged_run_costs_no_other_its_row(cli, make, content):
    make("broken", 0.5).path.joinpath("run.json").write_bytes(content)
    make("whole", 0.5)
    done = cli("runs")
    assert done.code == 0, done.stderr
    assert row(done, "whole")[4] == "50.00%"
    assert str(Path("runs", "broken", "run.json")) in done.stderr
    assert "broken" not in done.stdout


def test_no_runs_say_how_to_make_one(cli):
    done = cli("runs")
    assert (done.code, done.stdout) == (0, "no runs in runs: `clsbench train` makes one\n")


def test_another_folder_of_runs(listed, make, tmp_path):
    make("mine", 0.5)
    os.rename(tmp_path / "runs", tmp_path / "archive")
    assert [run["run"] for run in listed("archive")] == ["mine"]


def test_json_on_stdout_is_json_alone(cli, make):
    make("mine", 0.5)
    assert json.loads(cli("runs", "--json", "-").stdout)["schema"] == 1


def test_a_generated_name_is_not_broken_in_80_columns(cli, make, monkeypatch):
    monkeypatch.setenv("COLUMNS", "80")
    name = make(None, 0.5).name
    make("20261122-134442-folder-simple-cnn", 1.0, test_accuracy=1.0)
    done = cli("runs")
    assert name in done.stdout
    assert "20261122-134442-folder-simple-cnn" in done.stdout


@pytest.mark.parametrize("content", [b"{}", b'{"schema": 1, "data": {"root": null}}'])
@pytest.mark.parametrize("command", ["show", "datasets"])
def test_a_run_of_another_version_or_damaged_cannot_be_shown(cli, make, command, content):
    make("old", 0.5).path.joinpath("run.json").write_bytes(content)
    done = cli(command, "--run", "old")
    assert done.code == 1
    assert "run.json" in done.stderr
    assert "fault of clsbench" not in done.stderr


@pytest.mark.parametrize(
    ("order", "names"),
    {
        "name": ["a", "b", "c"], "accuracy": ["c", "a", "b"], "test": ["a", "c", "b"], "seconds": ["c", "a", "b"],
        "model": ["a", "b", "c"],
    }.items(),
)  # fmt: skip
def test_any_column_orders_the_list_and_what_has_no_value_comes_last(listed, make, order, names):
    make("b", None, model="clsbench/resnet18")
    make("a", 0.5, test_accuracy=0.9, seconds=20.0, model="acme/net")
    make("c", 0.75, test_accuracy=0.8, seconds=10.0)
    assert [run["run"] for run in listed("--sort", order)] == names
    if order in ("accuracy", "test", "seconds"):
        assert [run["run"] for run in listed("--sort", order, "--reverse")] == [*reversed(names[:2]), "b"]


def test_a_folder_that_is_not_there_may_be_a_command_misspelt(refused, make):
    make("a", 0.5)
    refused(1, ["no such folder of runs", "did you mean `clsbench runs diff`?"], "runs", "dif")


def test_the_help_names_the_directory_and_the_commands(cli):
    shown = cli("runs", "--help").stdout
    assert "DIR  The directory of all runs." in shown
    assert "  diff  Print what differs" in shown
    assert "  list" not in shown
