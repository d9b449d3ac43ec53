import pickle
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pytest

from clsbench.errors import DataError
from clsbench.images.entries import BytesEntry, FileEntry, PixelsEntry, in_memory, missing_files

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
