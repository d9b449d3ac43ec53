"""``clsbench runs rm``: what goes, and above all what stays."""

import io
import json
import os

import pytest

import clsbench
from clsbench import runs
from clsbench.errors import DataError
from clsbench.json_fields import write_json
from clsbench.output_lock import exclusive


@pytest.fixture
def make(tmp_path):
    """make(name): a run with weights of 1,000 bytes; each is newer than the one before."""
    times = iter(range(1_000_000, 2_000_000, 1000))

    def run(name, *, status="finished"):
        made = runs.create(name, default="x", root=tmp_path / "runs")
        record = {
            "schema": 3, "data": {"dataset": "clsbench/folder"}, "model": {"name": "clsbench/simple-cnn"},
            "training": {}, "classes": ["ant", "bee"], "transform": {"size": [8, 8]}, "status": status,
        }  # fmt: skip
        write_json(made.record, record)
        os.utime(made.record, (now := next(times), now))
        made.best.write_bytes(bytes(1000))
        return made

    return run


@pytest.fixture
def outside(tmp_path):
    """A folder that nobody asked to delete."""
    folder = tmp_path / "outside"
    folder.mkdir()
    (folder / "thesis.txt").write_text("years")
    return folder


def left(tmp_path):
    return sorted(path.name for path in (tmp_path / "runs").iterdir())


def test_a_run_goes_as_a_whole_and_latest_names_the_newest_that_is_left(cli, make, tmp_path):
    for name in "abc":
        make(name)
    (tmp_path / "runs" / "c" / "tensorboard").mkdir()
    (tmp_path / "runs" / "c" / "tensorboard" / "events").write_bytes(bytes(9_000))
    done = cli("runs", "rm", "latest", "--yes", "--json", "facts.json")
    assert done.code == 0, done.stderr
    assert left(tmp_path) == ["a", "b", "latest"]
    assert os.readlink(tmp_path / "runs" / "latest") == "b"
    assert "deleted 1 run, 1" in done.stdout
    with open("facts.json", encoding="utf-8") as file:
        facts = json.load(file)
    assert (facts["removed"], facts["latest"], facts["runs"][0]["run"]) == (True, "b", "c")
    assert 10_000 < facts["runs"][0]["bytes"] < 12_000
    assert cli("runs", "rm", "a", "b", "--yes").code == 0
    assert left(tmp_path) == []


def test_without_a_person_to_ask_nothing_goes(refused, make, tmp_path, monkeypatch):
    make("a")
    monkeypatch.setattr("sys.stdin", io.StringIO())
    refused(2, ["nobody is here to be asked", "--yes"], "runs", "rm", "a")
    assert left(tmp_path) == ["a", "latest"]


@pytest.mark.parametrize(("answer", "gone"), [("n\n", False), ("y\n", True)])
def test_a_person_is_asked_with_what_goes(cli, make, tmp_path, monkeypatch, answer, gone):
    make("a")
    asked = []
    monkeypatch.setattr("sys.stdin", type("Terminal", (), {"isatty": lambda self: True})())
    monkeypatch.setattr("typer.confirm", lambda text, **_: asked.append(text) or answer == "y\n")
    assert cli("runs", "rm", "a").code == 0
    assert asked == ["Delete 1 run, 1 kB?"] or asked == ["Delete 1 run, 2 kB?"]
    assert (tmp_path / "runs" / "a").exists() is not gone


def test_a_dry_run_only_says_what_would_go(cli, make, tmp_path):
    make("a")
    done = cli("runs", "rm", "a", "--dry-run", "--yes")
    assert (done.code, done.stdout) == (0, "nothing was deleted\n")
    assert left(tmp_path) == ["a", "latest"]


def test_files_of_others_stay_and_so_does_everything(refused, cli, make, tmp_path):
    make("a")
    make("b")
    (tmp_path / "runs" / "b" / "notes.txt").write_text("mine")
    refused(1, ["1 file that clsbench has not written", "notes.txt", "--force"], "runs", "rm", "a", "b", "--yes")
    assert left(tmp_path) == ["a", "b", "latest"], "the first of them is there, too"
    assert cli("runs", "rm", "b", "--yes", "--force").code == 0
    assert left(tmp_path) == ["a", "latest"]


def test_what_links_name_stays(cli, refused, make, tmp_path, outside):
    run = make("a")
    run.onnx.symlink_to(outside / "thesis.txt")
    (run.path / "tensorboard").symlink_to(outside)
    assert cli("runs", "rm", "a", "--yes").code == 0
    assert (outside / "thesis.txt").read_text() == "years"


@pytest.mark.parametrize("name", ["linked", "latest"])
def test_a_run_is_not_deleted_through_a_link_to_elsewhere(refused, make, tmp_path, outside, name):
    make("a").path.rename(outside / "a")
    link = tmp_path / "runs" / name
    link.unlink(missing_ok=True)
    link.symlink_to(outside / "a")
    refused(1, ["this is a link", "name the run's directory itself"], "runs", "rm", name, "--yes")
    assert (outside / "a" / "run.json").exists()


@pytest.mark.parametrize("content", [None, b"{}", b"[1]"])
def test_a_folder_that_is_no_run_stays(refused, make, tmp_path, content):
    folder = tmp_path / "runs" / "photos"
    folder.mkdir(parents=True)
    if content:
        (folder / "run.json").write_bytes(content)
    refused(1, ["photos"], "runs", "rm", "photos", "--yes", "--force")
    assert folder.is_dir()


def test_the_current_folder_stays(make, tmp_path, monkeypatch):
    monkeypatch.chdir(make("a").path)
    with pytest.raises(DataError, match="current folder"):
        clsbench.remove_runs(".")


def test_a_run_that_is_locked_or_may_be_training_stays(refused, cli, make, tmp_path):
    run = make("a", status="running")
    with exclusive(run.record, "the run"):
        refused(1, ["the run is in use"], "runs", "rm", "a", "--yes", "--force")
    os.utime(run.record)
    refused(1, ["may still be training", "0 minutes ago", "--force"], "runs", "rm", "a", "--yes")
    os.utime(run.record, (1, 1))
    assert cli("runs", "rm", "a", "--yes").code == 0, "it was killed long ago"
    assert left(tmp_path) == []
