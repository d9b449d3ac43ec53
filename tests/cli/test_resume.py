"""A job that is killed, runs into a full disk or is interrupted, and is continued."""

import io
import json
import os
import random
import subprocess
import sys
from pathlib import Path

import pytest

from clsbench import Observer, infer, merge
from clsbench.errors import DataError, OptionError
from clsbench.predictions import ledger
from clsbench.predictions.ledger import ledger_path
from tests.conftest import COLOURS, picture

COUNT = 1500


@pytest.fixture(scope="module")
def images(tmp_path_factory):
    """Many small images, among them damaged ones."""
    folder = tmp_path_factory.mktemp("images")
    encoded = []
    for k in range(30):
        stream = io.BytesIO()
        picture(list(COLOURS)[k % 3], size=(12, 12), seed=k).save(stream, "PNG")
        encoded.append(stream.getvalue())
    encoded[5] = encoded[5][:60]
    for k in range(COUNT):
        folder.joinpath(f"{k:05}.png").write_bytes(encoded[k % 30])
    return folder


@pytest.fixture
def job(images, tiny_onnx, tmp_path):
    options = {"model": str(tiny_onnx), "labels": "none", "probabilities": True, "batch_size": 16, "tune": "off"}
    return {"images": str(images), "out": str(tmp_path / "preds.csv"), "resume": True, **options}


def attempts(job, *options):
    """(exit status, safe rows) of each attempt, and what was printed on stderr."""
    command = [sys.executable, Path(__file__).with_name("killed_jobs.py")]
    given = json.dumps({"job": job, "attempts": options})
    done = subprocess.run([*command, given], capture_output=True, text=True, timeout=300, check=True)
    return json.loads(done.stdout), done.stderr


def check_as_uninterrupted(job, tmp_path):
    """The file and the facts are those of a job that nothing happened to; nothing else is left."""
    out, whole = Path(job["out"]), tmp_path / "whole" / Path(job["out"]).name
    expected = infer(**{**job, "out": whole, "resume": False})
    assert out.read_bytes() == whole.read_bytes()
    facts = json.loads(out.with_name(out.name + ".json").read_text())
    for name, value in expected.to_json().items():
        if name in ("counts", "metrics", "predicted"):
            assert facts[name] == value
    assert sorted(path.name for path in out.parent.iterdir() if path.is_file()) == [out.name, f"{out.name}.json"]


@pytest.mark.parametrize("suffix", [".csv", ".parquet"])
def test_a_job_that_is_killed_again_and_again_ends_as_if_nothing_had_happened(job, tmp_path, suffix):
    job["out"] = str(Path(job["out"]).with_suffix(suffix))
    random.seed(suffix)
    kills = [{"kill_at": point} for point in sorted(random.sample(range(COUNT - 100), 20))]
    ended, printed = attempts(job, *kills, {})
    assert ended[-1] == [0, None], printed
    assert [status for status, _ in ended[:-1]] == [-9] * 20
    safe = [rows or 0 for _, rows in ended[:-1]]
    assert safe == sorted(safe)
    assert len(set(safe)) > 10
    check_as_uninterrupted(job, tmp_path)


def test_two_shards_that_are_killed_become_the_whole(job, tmp_path):
    random.seed("shards")
    files = [tmp_path / f"part-{k}.csv" for k in (1, 2)]
    for k, file in enumerate(files, 1):
        kills = [{"kill_at": point} for point in sorted(random.sample(range(COUNT // 2 - 150), 4))]
        ended, printed = attempts({**job, "out": str(file), "shard": f"{k}/2"}, *kills, {})
        assert [status for status, _ in ended] == [-9] * 4 + [0], printed
    merge(files, tmp_path / "merged.csv")
    infer(**{**job, "out": tmp_path / "whole.csv", "resume": False})
    assert (tmp_path / "merged.csv").read_bytes() == (tmp_path / "whole.csv").read_bytes()


def test_a_job_that_runs_into_a_full_disk_goes_on_once_there_is_room(job, tmp_path):
    ended, printed = attempts(job, *({"largest_file": size} for size in (10_000, 25_000, 60_000)), {})
    assert [status for status, _ in ended] == [1, 1, 1, 0]
    assert "cannot be written" in printed
    safe = [rows for _, rows in ended[:-1]]
    assert safe == sorted(safe)
    assert safe[-1] > 100
    check_as_uninterrupted(job, tmp_path)


class Impatient(Observer):
    """Interrupts a job after so many images."""

    def __init__(self, after):
        self.after = after

    def advance(self, count, errors=0):
        self.after -= count
        if self.after < 0:
            raise KeyboardInterrupt


def interrupted(job, after=200, **options):
    """Begin a job, and interrupt it."""

    with pytest.raises(KeyboardInterrupt):
        infer(**{**job, **options}, observer=Impatient(after))
    assert ledger_path(Path(job["out"])).exists()
    assert not Path(job["out"]).exists()


def test_an_interrupted_job_can_be_continued_with_other_columns_and_labels(job, tmp_path):
    interrupted(job)
    again = {**job, "probabilities": False, "topk": 2}
    result = infer(**again)
    assert 200 < result.resumed < COUNT
    assert result.manifest.resumed == result.resumed
    check_as_uninterrupted(again, tmp_path)


def test_an_unfinished_job_is_neither_replaced_nor_forgotten(job, tmp_path):
    interrupted(job)
    with pytest.raises(DataError, match="an unfinished job") as error:
        infer(**{**job, "resume": False})
    assert "--resume continues it, --restart begins anew" in str(error.value)
    with pytest.raises(DataError, match="an unfinished job"):
        infer(**{**job, "resume": False, "overwrite": True})
    assert infer(**{**job, "resume": False, "restart": True}).resumed == 0
    check_as_uninterrupted(job, tmp_path)


@pytest.mark.parametrize(
    ("change", "said"),
    [
        ({"fast_decode": True}, "fast-decode True, was not given"),
        ({"batch_size": 8}, "batch-size 8, was 16"),
        ({"backend": "onnx-reference"}, "backend clsbench/onnx-reference"),
        ({"device": "auto"}, "device auto, was cpu"),
    ],
)
def test_a_job_with_other_options_is_not_continued(job, change, said):
    job["device"] = "cpu"
    interrupted(job)
    with pytest.raises(DataError, match="cannot be continued") as error:
        infer(**{**job, **change})
    assert said in str(error.value)


def test_changed_images_and_models_are_named(job, images, tiny_onnx, tmp_path):
    interrupted(job)
    changed = images / "00001.png"
    before = changed.stat()
    os.utime(changed, ns=(before.st_atime_ns, before.st_mtime_ns + 1))
    with pytest.raises(DataError, match="cannot be continued") as error:
        infer(**job)
    assert "00001.png has another modification time" in str(error.value)
    os.utime(changed, ns=(before.st_atime_ns, before.st_mtime_ns))
    other = tmp_path / "other.onnx"
    other.write_bytes(tiny_onnx.read_bytes() + b"\x12\x00")
    images.joinpath("more.png").write_bytes(changed.read_bytes())
    try:
        with pytest.raises(DataError, match="1,501 images, were 1,500"):
            infer(**job)
    finally:
        images.joinpath("more.png").unlink()
    assert infer(**job).resumed > 200


def test_a_finished_job_is_recognised_and_not_run(job, images, monkeypatch):
    done = infer(**job)
    before = Path(job["out"]).stat().st_mtime_ns
    monkeypatch.setattr("clsbench.inference.job.run_job", lambda *_: pytest.fail("it ran"))
    again = infer(**job)
    assert Path(job["out"]).stat().st_mtime_ns == before
    assert (again.counts, dict(again.predicted)) == (done.counts, dict(done.predicted))
    assert again.to_json() == json.loads(Path(job["out"] + ".json").read_text())
    with pytest.raises(DataError, match="something has changed since"):
        infer(**{**job, "fast_decode": True})


def test_what_is_there_is_replaced_only_when_asked(job, tmp_path):
    out = Path(job["out"])
    out.write_text("precious")
    for options in ({"resume": False}, {}):
        with pytest.raises(DataError, match="the output is there already"):
            infer(**{**job, **options})
        assert out.read_text() == "precious"
    infer(**{**job, "resume": False, "overwrite": True})
    check_as_uninterrupted(job, tmp_path)


def test_a_file_that_came_between_is_not_replaced(job):
    interrupted(job)
    Path(job["out"]).write_text("precious")
    with pytest.raises(DataError, match="was not when the job began"):
        infer(**job)
    assert Path(job["out"]).read_text() == "precious"


class Watching(Observer):
    """Notes whether there is a ledger after each block."""

    def __init__(self, job):
        self.file, self.seen = ledger_path(Path(job["out"])), []

    def advance(self, count, errors=0):
        self.seen.append(self.file.exists())


@pytest.mark.parametrize("patience", [5.0, -1.0])
def test_a_job_of_few_images_keeps_a_ledger_once_it_takes_long(job, monkeypatch, patience):
    monkeypatch.setattr(ledger, "PATIENCE", patience)
    watching = Watching(job)
    infer(**{**job, "resume": False}, observer=watching)
    assert watching.seen[-1] == (patience < 0)
    assert not watching.file.exists()


def test_an_interrupted_job_of_a_second_leaves_nothing(job, tmp_path):
    with pytest.raises(KeyboardInterrupt) as error:
        infer(**{**job, "resume": False}, observer=Impatient(200))
    assert "nothing is kept of a job of few images that ran for a few seconds" in error.value.__notes__
    assert not list(tmp_path.iterdir())


def test_contradicting_flags_are_refused(job):
    with pytest.raises(OptionError, match="either continue the job or begin it anew"):
        infer(**{**job, "restart": True})


@pytest.mark.parametrize("kind", ["text", "link", "folder", "fifo"])
@pytest.mark.parametrize("flags", [{"resume": True}, {"resume": False, "restart": True}, {"resume": False}])
def test_where_the_ledger_goes_nothing_else_is_destroyed_or_waited_for(job, photos, kind, flags):
    place, other = ledger_path(Path(job["out"])), Path(job["out"]).with_name("other")
    other.write_text("precious")
    make = {"text": lambda: place.write_text("precious"), "link": lambda: place.symlink_to(other)}
    (make | {"folder": place.mkdir, "fifo": lambda: os.mkfifo(place)})[kind]()
    before = place.lstat()
    with pytest.raises(DataError, match="something else is already"):
        infer(**{**job, "images": str(photos / "val"), **flags})
    assert place.lstat().st_mtime_ns == before.st_mtime_ns
    assert other.read_text() == "precious"


def test_a_ledger_without_a_record_is_no_job(job, photos):
    small = {**job, "images": str(photos / "val"), "resume": False}
    for nothing in (b"", bytes(100), b"\xff\xff\xff\xff\x00"):
        ledger_path(Path(job["out"])).write_bytes(nothing)
        said = []
        watching = Observer()
        watching.note = said.append
        infer(**small, overwrite=True, observer=watching)
        assert not ledger_path(Path(job["out"])).exists()
        assert not any("continuing" in note for note in said)
    ledger_path(Path(job["out"])).write_bytes(b"")
    with pytest.raises(DataError, match="the output is there already"):
        infer(**{**small, "resume": True})


def test_a_device_has_no_manifest_and_no_ledger(job, monkeypatch):
    monkeypatch.setattr("clsbench.predictions.manifest.manifest_path", lambda file: pytest.fail("it asked for one"))
    monkeypatch.setattr("clsbench.predictions.ledger.ledger_path", lambda file: pytest.fail("it asked for one"))
    device = {**job, "out": os.devnull, "format": "csv", "resume": False}
    assert infer(**device).out is None
    for flag in ("resume", "restart"):
        for out in (os.devnull, io.BytesIO(), None):
            with pytest.raises(OptionError, match="only a job that writes a file"):
                infer(**{**device, "out": out, "format": None if out is None else "csv", flag: True})


def test_a_finished_job_tells_its_failures_again(job):
    done = infer(**job)
    again = infer(**job)
    assert again.failures.to_json() == done.failures.to_json() != {}


@pytest.mark.parametrize("columns", ["path,error", "path,predicted", "path,label"])
def test_a_finished_job_of_few_columns_is_recognised(job, photos, columns):
    small = {**job, "images": str(photos / "val"), "columns": columns, "probabilities": False}
    infer(**small)
    assert infer(**small).recorded is not None
