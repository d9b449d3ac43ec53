import errno
import os
import stat

import numpy as np
import pytest
from PIL import Image

from clsbench.datasets.sorting import check_sortable, sort_images
from clsbench.errors import DataError, OptionError
from clsbench.images.entries import BytesEntry, FileEntry, PixelsEntry

MODES = ("move", "copy", "link")


@pytest.fixture
def files(tmp_path, monkeypatch):
    """Entries of a/1.jpg, a/2.jpg, b/1.jpg and c/3.jpg, whose content is their name."""
    monkeypatch.chdir(tmp_path)
    names = ["a/1.jpg", "a/2.jpg", "b/1.jpg", "c/3.jpg"]
    for name in names:
        file = tmp_path / "photos" / name
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text(name)
        os.utime(file, (1_000_000, 1_000_000))
    return [FileEntry(name, f"photos/{name}") for name in names]


def tree(folder):
    return {file.relative_to(folder).as_posix(): file.read_text() for file in folder.rglob("*") if file.is_file()}


CLASSES = ["cat", "cat", "cat", None]
EXPECTED = {"cat/2.jpg": "a/2.jpg", "cat/a/1.jpg": "a/1.jpg", "cat/b/1.jpg": "b/1.jpg"}


@pytest.mark.parametrize("mode", MODES)
@pytest.mark.parametrize("hard_links", [True, False])
def test_images_lie_in_the_folder_of_their_class(tmp_path, files, monkeypatch, mode, hard_links):
    if not hard_links:  # or another disk

        def link(*_, **__):
            raise OSError(errno.EXDEV, os.strerror(errno.EXDEV))

        monkeypatch.setattr(os, "link", link)
    steps = []
    found = sort_images(files, CLASSES, mode, tmp_path / "into", progress=steps.append)
    assert tree(tmp_path / "into") == EXPECTED
    assert (found.classes, found.done, found.unclassified, found.conflicts, found.failures) == ({"cat": 3}, 3, 1, 0, 0)
    left = {"c/3.jpg": "c/3.jpg"} | ({} if mode == "move" else {name: name for name in EXPECTED.values()})
    assert tree(tmp_path / "photos") == left
    assert steps == [1, 1, 1]
    sorted_file = tmp_path / "into" / "cat" / "2.jpg"
    assert sorted_file.is_symlink() == (mode == "link")
    assert sorted_file.stat().st_mtime == 1_000_000


@pytest.mark.parametrize("mode", MODES)
@pytest.mark.parametrize("there", ["file", "folder", "dangling link", "link"])
def test_nothing_is_ever_overwritten(tmp_path, files, mode, there):
    place = tmp_path / "into" / "cat" / "2.jpg"
    place.parent.mkdir(parents=True)
    precious = tmp_path / "precious"
    precious.write_text("precious")
    {
        "file": lambda: place.write_text("precious"),
        "folder": place.mkdir,
        "dangling link": lambda: place.symlink_to("nothing"),
        "link": lambda: place.symlink_to(precious),
    }[there]()
    before = place.lstat()
    found = sort_images(files, CLASSES, mode, tmp_path / "into")
    assert (found.classes, found.conflicts) == ({"cat": 2}, 1)
    assert "a/2.jpg" in found.conflict_names[0]
    assert (place.lstat().st_ino, precious.read_text()) == (before.st_ino, "precious")
    assert (tmp_path / "photos" / "a" / "2.jpg").read_text() == "a/2.jpg"
    assert not list(tmp_path.rglob("*.partial"))


def test_a_second_time_changes_nothing(tmp_path, files):
    sort_images(files, CLASSES, "copy", tmp_path / "into")
    found = sort_images(files, CLASSES, "copy", tmp_path / "into")
    assert (found.done, found.conflicts) == (0, 3)
    assert tree(tmp_path / "into") == EXPECTED


def test_no_name_leads_out_of_the_folder(tmp_path, files):
    names = ["../../x.jpg", "/y.jpg", "..", "./z.jpg"]
    found = sort_images([BytesEntry(name, b"x") for name in names], [".."] * 4, "copy", tmp_path / "into")
    assert found.done == 4
    assert set(tree(tmp_path / "into")) == {"%2E./x.jpg", "%2E./y.jpg", "%2E./image", "%2E./z.jpg"}


def test_what_is_no_file_is_copied_and_pixels_become_png(tmp_path):
    pixels = np.zeros((2, 2, 3), np.uint8)
    sort_images([BytesEntry("b.jpg", b"bytes"), PixelsEntry("p", pixels)], ["x", "y"], "copy", tmp_path)
    assert (tmp_path / "x" / "b.jpg").read_bytes() == b"bytes"
    assert np.array_equal(np.asarray(Image.open(tmp_path / "y" / "p.png")), pixels)


def test_a_moved_link_names_the_same_file(tmp_path, files):
    (tmp_path / "photos" / "l.jpg").symlink_to("c/3.jpg")
    found = sort_images([FileEntry("l.jpg", "photos/l.jpg")], ["dog"], "move", tmp_path / "into")
    assert found.done == 1
    assert (tmp_path / "into" / "dog" / "l.jpg").read_text() == "c/3.jpg"
    assert (tmp_path / "photos" / "c" / "3.jpg").exists()
    assert not (tmp_path / "photos" / "l.jpg").is_symlink()


@pytest.mark.parametrize("mode", ["move", "copy"])
def test_what_cannot_be_read_is_told_and_the_rest_is_sorted(tmp_path, files, mode):
    (tmp_path / "photos" / "a" / "2.jpg").unlink()
    found = sort_images(files, CLASSES, mode, tmp_path / "into")
    assert (found.done, found.failures) == (2, 1)
    assert found.failure_texts == ("a/2.jpg: No such file or directory",)


def test_a_source_that_cannot_be_removed_is_not_there_twice(tmp_path, files, monkeypatch):
    from pathlib import Path

    real = Path.unlink

    def unlink(self, missing_ok=False):
        if "photos" in self.parts:
            raise PermissionError(errno.EACCES, os.strerror(errno.EACCES))
        real(self, missing_ok=missing_ok)

    monkeypatch.setattr(Path, "unlink", unlink)
    found = sort_images(files, CLASSES, "move", tmp_path / "into")
    assert (found.done, found.failures, tree(tmp_path / "into")) == (0, 3, {})


def test_a_full_disk_ends_it(tmp_path, files, monkeypatch):
    def full(*_, **__):
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    monkeypatch.setattr("shutil.copy2", full)
    with pytest.raises(DataError, match=r"(?s)after 0 images the next.*No space left.*free some space"):
        sort_images(files, CLASSES, "copy", tmp_path / "into")


@pytest.mark.parametrize("into", ["photos", "photos/sorted", "./photos/../photos/x"])
def test_a_folder_among_the_images_is_refused(files, into):
    from pathlib import Path

    for mode in MODES:
        with pytest.raises(OptionError, match=r"(?s)images of the next job.*outside of"):
            check_sortable(files, mode, Path(into), ["photos"])
        check_sortable(files, mode, Path("photos2"), ["photos"])


def test_only_files_are_moved_or_linked(tmp_path):
    for mode in ("move", "link"):
        with pytest.raises(OptionError, match=r"(?s)only images that are files.*m/1\.jpg.*--copy"):
            check_sortable([BytesEntry("m/1.jpg", b"")], mode, tmp_path, [])
    check_sortable([BytesEntry("m/1.jpg", b"")], "copy", tmp_path, [])


def test_a_copy_keeps_the_permissions(tmp_path, files):
    (tmp_path / "photos" / "a" / "2.jpg").chmod(0o640)
    sort_images(files, CLASSES, "copy", tmp_path / "into")
    assert stat.S_IMODE((tmp_path / "into" / "cat" / "2.jpg").stat().st_mode) == 0o640
