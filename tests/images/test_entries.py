import contextlib
import os
import pickle
import socket
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pytest

from clsbench.errors import DataError, ImageError
from clsbench.images import entries as entries_module
from clsbench.images.entries import BytesEntry, FileEntry, PixelsEntry, in_memory, missing_files, open_file

PIXELS = np.arange(24, dtype=np.uint8).reshape(2, 4, 3)


@pytest.fixture
def entries(tmp_path):
    """One of each kind, with what it holds."""
    (tmp_path / "a.png").write_bytes(b"file")
    return [
        (FileEntry("a.png", str(tmp_path / "a.png")), b"file"),
        (BytesEntry("b.png", b"bytes"), b"bytes"),
        (PixelsEntry("c.png", PIXELS), PIXELS),
    ]


def test_entries_survive_pickling_and_are_read_from_any_thread(entries):
    with ThreadPoolExecutor(1) as pool:
        for entry, content in entries:
            again = pickle.loads(pickle.dumps(entry))
            assert again.name == entry.name
            np.testing.assert_array_equal(pool.submit(again.read).result(), content)


def test_entries_cannot_be_changed(entries):
    for entry, _ in entries:
        with pytest.raises(AttributeError):
            entry.name = "other"


def test_content_in_memory_is_an_entry(entries):
    for entry, content in entries:
        held = in_memory(entry.name, content)
        assert (type(held), held.name) == (BytesEntry if isinstance(content, bytes) else PixelsEntry, entry.name)
        assert held.read() is content


@pytest.mark.parametrize("path", ["missing.png", ".", "a\0b"])
def test_a_file_that_cannot_be_read_says_why(tmp_path, path):
    with pytest.raises(DataError, match=r"the file cannot be read: \w"):
        FileEntry("x", f"{tmp_path}/{path}").read()


def test_only_files_can_be_missing(entries, tmp_path):
    gone = FileEntry("gone.png", str(tmp_path / "gone.png"))
    assert missing_files([entry for entry, _ in entries]) == []
    assert missing_files([entries[0][0], gone]) == ["gone.png"]


def reason(path):
    with pytest.raises(ImageError) as caught:
        FileEntry("x", str(path)).read()
    return caught.value.reason


@pytest.mark.parametrize(
    ("path", "code"),
    [
        ("missing.png", "missing"),
        ("a.png/b.png", "missing"),
        ("dangling", "missing"),
        (".", "unreadable"),
        ("a\0b", "unreadable"),
        ("circle", "unreadable"),
        ("fifo.jpg", "unreadable"),
        ("socket", "unreadable"),
        ("zero", "unreadable"),
        ("x" * 300, "unreadable"),
    ],
)
def test_what_is_no_regular_file_answers_at_once_with_its_reason(tmp_path, path, code):
    (tmp_path / "a.png").write_bytes(b"file")
    (tmp_path / "dangling").symlink_to(tmp_path / "nothing")
    (tmp_path / "circle").symlink_to(tmp_path / "circle")
    (tmp_path / "zero").symlink_to("/dev/zero")
    os.mkfifo(tmp_path / "fifo.jpg")
    with socket.socket(socket.AF_UNIX) as listening:
        if path == "socket":
            folder = os.getcwd()
            os.chdir(tmp_path)  # the path of a socket must be short
            try:
                listening.bind("socket")
            finally:
                os.chdir(folder)
        assert reason(f"{tmp_path}/{path}") == code


def test_a_file_that_may_not_be_read_is_unreadable(tmp_path, monkeypatch):
    def refuse(*arguments):
        raise PermissionError(13, "Permission denied")

    monkeypatch.setattr(os, "open", refuse)
    assert reason(tmp_path / "a.png") == "unreadable"


def test_a_sparse_file_of_terabytes_is_not_read(tmp_path):
    with open(tmp_path / "huge.png", "wb") as file:
        file.truncate(1 << 40)
    assert reason(tmp_path / "huge.png") == "too_large"


def test_a_file_that_says_no_size_is_read_whole_up_to_the_limit(tmp_path, monkeypatch):
    assert FileEntry("x", "/proc/self/status").read().startswith(b"Name:")
    monkeypatch.setattr(entries_module, "MAX_BYTES", 100)
    assert reason("/proc/self/status") == "too_large"


@pytest.mark.parametrize("size", [0, 1, 4095, 1 << 20, (1 << 21) + 1])
def test_every_byte_is_read(tmp_path, size):
    data = np.random.default_rng(0).bytes(size)
    (tmp_path / "a").write_bytes(data)
    assert FileEntry("a", str(tmp_path / "a")).read() == data
    with open_file(str(tmp_path / "a")) as file:
        assert file.read() == data


def test_no_descriptor_is_left_open(tmp_path):
    before = len(os.listdir("/proc/self/fd"))
    os.mkfifo(tmp_path / "fifo.jpg")
    (tmp_path / "a.png").write_bytes(b"file")
    for path in ("fifo.jpg", "a.png", "missing"):
        with contextlib.suppress(ImageError):
            FileEntry("x", str(tmp_path / path)).read()
    assert len(os.listdir("/proc/self/fd")) == before
