import dataclasses
import json
import os
import shutil
import time
from pathlib import Path

import pytest

from clsbench import runs
from clsbench.errors import ModelError, OptionError
from clsbench.run_record import RunData, RunModel, RunRecord, RunResult, RunStage
from clsbench.transform import ImageTransform

RECORD = RunRecord(
    clsbench="0.1.0",
    torch="2.14",
    data=RunData(dataset="clsbench/folder", root="/photos", options={"label": "species"}),
    split={"val_fraction": 0.2, "seed": 3},
    model=RunModel(name="clsbench/simple-cnn", distribution="clsbench", version="0.1.0", options={"width": 64}),
    training={"recipe": "scratch", "epochs": 2, "lr": 0.1, "unfreeze_from": None},
    stages=(RunStage(name="everything", epochs=2, rates={"0": 0.01, "head": 0.1}),),
    threads=4,
    classes=("ant", "bée"),
    transform=ImageTransform(size=(8, 10)),
    counts={"train": 2, "val": 1},
    splits={"val": ["a.png"], "test": [], "train": {"count": 2, "sha256": "0"}},
    check={"findings": []},
)
RESULT = RunResult(
    epochs=2, best_epoch=1, val_accuracy=0.5, val_loss=0.7, test_accuracy=None, seconds=1.5,
    stopped="the time limit was reached", head_loaded=False, unreadable={"b.png": "damaged"},
)  # fmt: skip

#: Written by the clsbench before schema 3: digits of colours, --val-fraction 0.34 --test-fraction 0.17 --seed 3.
OLD = Path(__file__).parent / "run-schema-2.json"


@pytest.fixture
def root(tmp_path):
    return tmp_path / "runs"


def finished(name, root):
    run = runs.create(name, default="x", root=root)
    run.write_record(RECORD)
    return run


@pytest.mark.parametrize("record", [RECORD, dataclasses.replace(RECORD, result=RESULT)], ids=["begun", "finished"])
def test_what_is_written_is_read(root, record):
    run = runs.create("first", default="x", root=root)
    run.write_record(record)
    assert run.read_record() == record
    assert [file.name for file in run.path.iterdir()] == ["run.json"]


def test_the_json_of_a_record():
    values = dataclasses.replace(RECORD, result=RESULT).to_json()
    assert list(values) == [
        "schema", "clsbench", "torch", "data", "split", "model", "training", "stages", "precision", "threads",
        "classes", "transform", "counts", "splits", "check", "weights", "environment", "lr_test", "fingerprint",
        "status", "result",
    ]  # fmt: skip
    assert values["schema"] == 4
    assert values["data"] == {"dataset": "clsbench/folder", "root": "/photos", "options": {"label": "species"}}
    assert values["classes"] == ["ant", "bée"]
    assert values["transform"] == RECORD.transform.to_json()
    assert "result" not in RECORD.to_json()


def test_a_loss_that_is_nan_is_null_in_the_file(root):
    run = runs.create("first", default="x", root=root)
    run.write_record(dataclasses.replace(RECORD, result=dataclasses.replace(RESULT, val_loss=float("nan"))))
    assert json.loads(run.record.read_text())["result"]["val_loss"] is None
    assert run.read_record().result.val_loss is None


def test_a_run_of_schema_2_is_read_with_its_split_apart(root):
    run = runs.create("old", default="x", root=root)
    shutil.copy(OLD, run.record)
    old, record = json.loads(OLD.read_text()), run.read_record()
    assert old["schema"] == 2
    assert record.data == RunData(dataset="clsbench/folder", root=old["data"]["root"], options={"loose": "keep"})
    assert record.split == {"seed": 3, "val_fraction": 0.34, "test_fraction": 0.17}
    for part in old.keys() - {"schema", "data"}:
        assert record.to_json()[part] == old[part], part
    run.write_record(record)
    assert run.read_record() == record


def test_a_failed_write_leaves_the_old_file_whole(root):
    run = finished("first", root)
    endless = []
    endless.append(endless)
    with pytest.raises((ValueError, RecursionError)):
        run.write_record(dataclasses.replace(RECORD, splits={"val": endless}))
    assert run.read_record() == RECORD


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
    assert runs.find("first", root=root).read_record() == RECORD


def test_what_a_killed_run_left_empty_does_not_take_its_name(root):
    (root / "first").mkdir(parents=True)
    assert runs.create("first", default="x", root=root).path == root / "first"
    (root / "first" / "run.json").touch()
    with pytest.raises(OptionError, match="exists already"):
        runs.create("first", default="x", root=root)


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


@pytest.mark.parametrize("name", ["x" * 300, "猫" * 86])
def test_a_name_that_no_file_system_takes_is_refused(root, name):
    with pytest.raises(OptionError, match="too long") as caught:
        runs.check_name(name, root=root)
    assert len(str(caught.value)) < 200
    runs.check_name("x" * 255, root=root)


@pytest.mark.parametrize("name", [".", "..", "latest", "a/b", "../a", "/tmp/a", "a\0b", "a\nb"])
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
    record = dataclasses.replace(RECORD, splits={"val": ["caf\udce9.png"]})
    run.write_record(record)
    assert run.read_record() == record


@pytest.mark.parametrize("content", [None, "", "{", "[1]", b"\xff\xfe", "[" * 100_000, '{"a":' * 100_000])
def test_a_damaged_run_is_a_model_error(root, content):
    run = runs.create("first", default="x", root=root)
    if content is not None:
        (run.path / "run.json").write_bytes(content if isinstance(content, bytes) else content.encode())
    with pytest.raises(ModelError, match="cannot be read") as caught:
        run.read_record()
    assert caught.value.facts["where"] == run.path / "run.json"


@pytest.mark.parametrize(
    ("field", "value"),
    [
        ("data", None), ("data", [1]), ("data.dataset", 7), ("data.root", 7), ("data.options", []),
        ("data.options", {"a": []}), ("model", "resnet18"), ("model.name", None), ("model.options", 1),
        ("model.pretrained", "yes"), ("training", "x"), ("training", {"lr": [1]}), ("classes", 3), ("classes", [1, 2]),
        ("transform", {}), ("transform", None), ("transform.size", [8]), ("counts", {"val": "many"}), ("splits", []),
        ("check", 1), ("result", 3), ("result.val_accuracy", "good"), ("result.seconds", []), ("result.epochs", 1.5),
        ("result.epochs", True), ("result.unreadable", {"a": 1}), ("torch", 2),
    ],
)  # fmt: skip
@pytest.mark.parametrize("schema", [2, 3, 4])
def test_a_field_of_another_type_is_a_model_error_that_names_file_and_field(root, field, value, schema):
    values = json.loads(json.dumps(dataclasses.replace(RECORD, result=RESULT).to_json()))
    *parents, name = field.split(".")
    part = values
    for parent in parents:
        part = part[parent]
    part[name] = value
    run = runs.create("first", default="x", root=root)
    run.record.write_text(json.dumps({**values, "schema": schema}))
    with pytest.raises(ModelError, match="a run cannot be read") as caught:
        run.read_record()
    assert caught.value.facts["where"] == run.record
    assert str(caught.value.facts["got"]).startswith(field.removesuffix(".size"))


def test_a_split_of_another_type_is_named():
    with pytest.raises(ModelError) as caught:
        RunRecord.from_json({**RECORD.to_json(), "split": {"seed": [3]}})
    assert caught.value.facts["got"] == "split.seed: [3]"


@pytest.mark.parametrize("name", ["data", "model", "training", "classes", "transform"])
def test_a_missing_field_is_named(name):
    values = {key: value for key, value in RECORD.to_json().items() if key != name}
    with pytest.raises(ModelError, match="cannot be read") as caught:
        RunRecord.from_json(values, where="run.json")
    assert caught.value.facts["got"] == f"{name}: missing"


@pytest.mark.parametrize("schema", [5, 0, None, "3", True, 2.5])
def test_a_schema_that_is_not_known_is_refused(schema):
    with pytest.raises(ModelError, match="unknown schema") as caught:
        RunRecord.from_json({**RECORD.to_json(), "schema": schema}, where="run.json")
    assert caught.value.facts["where"] == "run.json"


def test_fields_that_are_not_known_are_ignored():
    assert RunRecord.from_json({**RECORD.to_json(), "colour": "green"}) == RECORD


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
    hint = caught.value.facts["to do"]
    assert "clsbench export" in hint
    assert ("clsbench train" in hint) == (name is None)  # without a run, `export` would be refused


@pytest.mark.parametrize(("result", "status"), [(None, "running"), (RESULT, "finished")])
def test_a_run_from_before_there_was_a_status_has_one(result, status):
    values = dataclasses.replace(RECORD, result=result).to_json()
    del values["status"], values["stages"]
    record = RunRecord.from_json(json.loads(json.dumps(values)))
    assert (record.status, record.epochs_asked) == (status, 2)


def test_an_unknown_status_is_a_model_error():
    with pytest.raises(ModelError, match="cannot be read"):
        RunRecord.from_json({**RECORD.to_json(), "status": "asleep"})


def test_a_model_is_a_file_a_run_or_the_latest_export(root):
    first, second = finished("first", root), finished("second", root)
    with pytest.raises(ModelError) as error:
        runs.find_onnx("first", root=root)
    assert f"clsbench export {first.path}" in str(error.value)
    for age, run in ((0, first), (-100, second)):
        run.onnx.touch()
        os.utime(run.onnx, (time.time() + age,) * 2)
    assert runs.find_onnx("second", root=root) == second.onnx
    assert runs.find_onnx(second.path, root=root) == second.onnx
    assert runs.find_onnx(None, root=root) == first.onnx
    assert runs.find_onnx("no.onnx", root=root) == Path("no.onnx")


def test_an_unknown_run_is_told_the_newest_and_how_many_there_are(root):
    for k in range(7):
        os.utime(finished(f"r{k}", root).record, (1000 + k, 1000 + k))
    with pytest.raises(ModelError) as error:
        runs.find("nowhere", root=root)
    assert error.value.facts["expected"] == "one of r6, r5, r4, r3, r2, … (7 in all)"
