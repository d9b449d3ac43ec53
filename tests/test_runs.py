import json
import os
import time

import pytest

from clsbench import runs
from clsbench.errors import ModelError, OptionError


@pytest.fixture
def root(tmp_path):
    return tmp_path / "runs"


def finished(name, root):
    run = runs.create(name, default="x", root=root)
    run.write({"name": name})
    return run


def test_what_is_written_is_read(root):
    run = runs.create("first", default="x", root=root)
    config = {"classes": ["ant", "bée"], "lr": 0.1, "none": None}
    run.write(config)
    assert run.read() == config
    assert [file.name for file in run.path.iterdir()] == ["run.json"]


def test_a_failed_write_leaves_the_old_file_whole(root):
    run = finished("first", root)
    endless = {}
    endless["self"] = endless
    with pytest.raises(ValueError, match="Circular"):
        run.write(endless)
    assert run.read() == {"name": "first"}


def test_the_latest_run_is_the_one_made_last(root):
    finished("b", root)
    finished("a", root)
    assert runs.find(None, root=root).name == "a"
    assert (root / "latest").readlink().name == "a"


def test_the_link_to_the_latest_run_survives_moving_the_folder(root, tmp_path):
    finished("a", root)
    root.rename(tmp_path / "moved")
    assert runs.find(None, root=tmp_path / "moved").name == "a"


def test_a_link_to_a_run_that_was_removed_is_renewed(root):
    finished("gone", root).path.joinpath("run.json").unlink()
    (root / "gone").rmdir()
    finished("new", root)
    assert runs.find(None, root=root).name == "new"


def test_a_generated_name_is_plain(root):
    name = runs.create(None, default="folder-acme/tiny net", root=root).name
    assert name.endswith("-folder-acme-tiny-net")
    assert (root / name).is_dir()


def test_a_taken_name_is_refused_and_nothing_is_overwritten(root):
    finished("first", root)
    with pytest.raises(OptionError, match="nothing is overwritten"):
        runs.create("first", default="x", root=root)
    assert runs.find("first", root=root).read() == {"name": "first"}


def test_a_name_can_be_checked_before_there_is_anything_to_lose(root):
    finished("first", root)
    with pytest.raises(OptionError, match="nothing is overwritten") as caught:
        runs.check_name("first", root=root)
    assert caught.value.facts["where"] == root / "first"
    for name in ("second", None):
        runs.check_name(name, root=root)
    assert sorted(path.name for path in root.iterdir()) == ["first", "latest"]


def test_runs_of_the_same_second_get_directories_of_their_own(root):
    assert len({runs.create(None, default="digits", root=root).path for _ in range(3)}) == 3


@pytest.mark.parametrize("name", [".", "..", "latest", "a/b", "../a", "/tmp/a"])
def test_a_name_that_is_not_plain_is_refused(root, name):
    with pytest.raises(OptionError, match="plain name"):
        runs.create(name, default="x", root=root)
    assert not root.exists()


def test_a_run_is_found_by_name_and_by_directory(root):
    run = finished("first", root)
    finished("second", root)
    assert runs.find("first", root=root).path == run.path
    assert runs.find(str(run.path), root=root).path == run.path


def test_no_run_says_how_to_make_one(root):
    with pytest.raises(ModelError, match="no run yet") as caught:
        runs.find(None, root=root)
    assert "clsbench train" in caught.value.facts["to do"]


def test_an_unknown_run_lists_those_there_are(root):
    finished("first", root)
    with pytest.raises(ModelError, match="no run 'frist'") as caught:
        runs.find("frist", root=root)
    assert caught.value.facts["expected"] == "one of first"


def test_all_runs_are_listed_each_once_and_unfinished_ones_left_out(root):
    assert runs.everything(root=root) == []
    for name in ("b", "a", "c"):
        finished(name, root)
    runs.create("empty", default="x", root=root)
    assert sorted(run.name for run in runs.everything(root=root)) == ["a", "b", "c"]


def test_runs_are_listed_in_the_order_they_were_made_whatever_was_done_with_them_since(root):
    for name in ("b", "a", "c"):
        finished(name, root)
        time.sleep(0.02)
    (root / "b" / "model.onnx").touch()
    assert [run.name for run in runs.everything(root=root)] == ["b", "a", "c"]


def test_names_that_are_not_utf8_are_written_and_read(root):
    run = runs.create("first", default="x", root=root)
    run.write({"val": ["caf\udce9.png"]})
    assert run.read() == {"val": ["caf\udce9.png"]}


@pytest.mark.parametrize("content", [None, "", "{", "[1]", b"\xff\xfe"])
def test_a_damaged_run_is_a_model_error(root, content):
    run = runs.create("first", default="x", root=root)
    if content is not None:
        (run.path / "run.json").write_bytes(content if isinstance(content, bytes) else content.encode())
    with pytest.raises(ModelError, match="cannot be read") as caught:
        run.read()
    assert caught.value.facts["where"] == run.path / "run.json"


def test_the_latest_model_is_the_one_exported_last(root):
    for age, name in enumerate(["new", "old"]):
        file = finished(name, root).onnx
        file.touch()
        os.utime(file, (1e9 - age, 1e9 - age))
    assert runs.latest_onnx(root=root) == root / "new" / "model.onnx"


@pytest.mark.parametrize("name", ["model.onnx.partial", "best.safetensors", None])
def test_no_exported_model_says_how_to_make_one(root, name):
    if name:
        finished("first", root).path.joinpath(name).touch()
    with pytest.raises(ModelError, match="no exported model yet") as caught:
        runs.latest_onnx(root=root)
    assert "clsbench export" in caught.value.facts["to do"]


def test_json_is_readable_by_people_and_machines(tmp_path):
    runs.write_json(tmp_path / "a.json", {"name": "bée", "path": tmp_path})
    text = (tmp_path / "a.json").read_text(encoding="utf-8")
    assert "bée" in text
    assert json.loads(text)["path"] == str(tmp_path)
