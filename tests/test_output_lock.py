import os
import signal
import subprocess
import sys

import pytest

from clsbench.errors import DataError
from clsbench.output_files import WholeFile
from clsbench.output_lock import exclusive, lock_path, remove_leftovers

HOLD = """
import sys, time
from pathlib import Path
from clsbench.output_lock import exclusive
with exclusive(Path(sys.argv[1]), "the rows"):
    print("held", flush=True)
    time.sleep(60)
"""


def test_two_jobs_exclude_each_other_and_a_killed_one_is_no_obstacle(tmp_path):
    file = tmp_path / "new" / "rows.csv"
    with subprocess.Popen([sys.executable, "-c", HOLD, file], stdout=subprocess.PIPE) as job:
        assert job.stdout.readline() == b"held\n"
        words = rf"(?s)another job is writing this file.*rows\.csv.*process {job.pid} on .*another path"
        with pytest.raises(DataError, match=words), exclusive(file, "the rows"):
            pass
        with exclusive(tmp_path / "other.csv", "the rows"):
            pass
        job.send_signal(signal.SIGKILL)
    assert lock_path(file).exists()
    with exclusive(file, "the rows"):
        pass
    assert list(file.parent.iterdir()) == []


def test_one_file_has_one_lock_whatever_it_is_called(tmp_path):
    (tmp_path / "link").symlink_to(tmp_path / "rows")
    with exclusive(tmp_path / "rows", "the rows"), pytest.raises(DataError), exclusive(tmp_path / "link", "the rows"):
        pass
    with exclusive(tmp_path / ("r" * 255), "the rows"):
        pass


@pytest.mark.parametrize("kind", ["link", "dangling", "text", "folder", "pipe"])
def test_what_is_not_our_lock_is_neither_followed_nor_changed(tmp_path, kind):
    path, precious = tmp_path / ".rows.lock", tmp_path / "precious"
    precious.write_text("precious")
    {
        "link": lambda: path.symlink_to(precious),
        "dangling": lambda: path.symlink_to(tmp_path / "nothing"),
        "text": lambda: path.write_text("of another program"),
        "folder": path.mkdir,
        "pipe": lambda: os.mkfifo(path),
    }[kind]()
    before = {file.name: file.lstat() for file in tmp_path.iterdir()}
    with pytest.raises(DataError, match="not one of clsbench"), exclusive(tmp_path / "rows", "the rows"):
        pass
    after = {file.name: file.lstat() for file in tmp_path.iterdir()}
    assert {name: (s.st_ino, s.st_size) for name, s in before.items()} == {
        name: (s.st_ino, s.st_size) for name, s in after.items()
    }
    assert precious.read_text() == "precious"


def test_a_device_has_no_lock():
    with exclusive(lock_path("/dev/null").with_name("null"), "the rows"):
        pass
    assert not lock_path("/dev/null").exists()


def test_a_folder_that_cannot_be_written_to_is_an_error(tmp_path):
    (tmp_path / "file").touch()
    with pytest.raises(DataError, match="the rows cannot be written"), exclusive(tmp_path / "file" / "a", "the rows"):
        pass


@pytest.mark.parametrize("name", ["rows.csv", "r" * 255])
def test_what_killed_jobs_left_is_removed_and_nothing_else(tmp_path, name):
    left, other, longer = (WholeFile(tmp_path / n, "it") for n in (name, "rows.csv.json", name[:-1] + "R"))
    for whole in (left, other, longer):
        whole.begin()
    inner = WholeFile(left.path, "it")
    inner.begin()
    kept = [tmp_path / f"{name[:100]}.partial", tmp_path / "rows.csv.0123456789abcdef.partialx"]
    for file in kept:
        file.touch()
    link = tmp_path / f"rows.csv.{'0' * 16}.partial"
    link.symlink_to(kept[0])
    removed = [left.path, inner.path] if name == "rows.csv" else [left.path]  # a long name has no room for both
    assert remove_leftovers(tmp_path / name) == removed
    inner.path.unlink(missing_ok=True)
    assert {*tmp_path.iterdir()} == {other.path, longer.path, *kept, link}
