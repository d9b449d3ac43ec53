import os
import socket
import subprocess
import sys

import pytest

from clsbench.images.sources.folder import FolderSource
from clsbench.images.sources.given import open_paths
from clsbench.images.sources.source import NOT_AN_IMAGE, NOT_REGULAR
from clsbench.images.sources.walk import AGAIN, CIRCLE, walk

PNG = b"\x89PNG\r\n\x1a\n"


def touch(root, *names, data=PNG):
    for name in names:
        (root / name).parent.mkdir(parents=True, exist_ok=True)
        (root / name).write_bytes(data)


def names(source):
    return [entry.name for entry in source.entries]


def reasons(source):
    return {one.name: one.reason for one in source.skipped}


def test_what_is_an_image_is_decided_by_content_where_the_suffix_does_not_say(tmp_path):
    touch(tmp_path, "1.png", "2", "3.dat", "4.txt")
    touch(tmp_path, "5.txt", "6", "7.dat", data=b"text")
    touch(tmp_path, "8.jpg", data=b"")
    source = FolderSource(tmp_path)
    assert names(source) == ["1.png", "2", "3.dat", "4.txt", "8.jpg"]
    assert reasons(source) == dict.fromkeys(["5.txt", "6", "7.dat"], NOT_AN_IMAGE)


def test_a_file_with_the_suffix_of_an_image_is_not_opened(tmp_path, monkeypatch):
    touch(tmp_path, "1.png", "2.JPG")
    monkeypatch.setattr(os, "open", None)
    assert names(FolderSource(tmp_path)) == ["1.png", "2.JPG"]


def test_names_are_sorted_as_whole_paths(tmp_path):
    touch(tmp_path, "a/1.png", "a.png", "a b/1.png", "a-b.png", "a/b/2.png", "B.png", "a0.png")
    assert names(FolderSource(tmp_path)) == sorted(names(FolderSource(tmp_path)))


def test_a_link_to_itself_is_a_row_or_a_note(tmp_path):
    touch(tmp_path, "a.png")
    for name in ("b.png", "folder"):
        (tmp_path / name).symlink_to(name)
    (tmp_path / "c.png").symlink_to("nowhere.png")
    source = FolderSource(tmp_path)
    assert names(source) == ["a.png", "b.png", "c.png", "folder"]
    for entry in source.entries[1:]:
        with pytest.raises(Exception, match=r"cannot be read|no such"):
            entry.read()


def test_files_that_are_no_files_are_named_and_never_opened(tmp_path, monkeypatch):
    touch(tmp_path, "a.png")
    os.mkfifo(tmp_path / "pipe")
    os.mkfifo(tmp_path / "pipe.jpg")
    (tmp_path / "zero").symlink_to("/dev/zero")
    monkeypatch.chdir(tmp_path)  # a socket's path is short
    with socket.socket(socket.AF_UNIX) as opened:
        opened.bind("socket")
    source = FolderSource(tmp_path)
    assert names(source) == ["a.png", "pipe.jpg"]
    assert reasons(source) == dict.fromkeys(["pipe", "socket", "zero"], NOT_REGULAR)
    assert names(FolderSource(tmp_path / "pipe")) == ["pipe"]
    assert names(open_paths([str(tmp_path / "pipe")])) == [str(tmp_path / "pipe")]


def test_a_folder_that_cannot_be_read_is_named_and_the_others_are_read(tmp_path, monkeypatch):
    touch(tmp_path, "a/1.png", "b/1.png")
    scandir = os.scandir

    def refusing(path):
        if str(path).endswith("a"):
            raise PermissionError(13, "Permission denied")
        return scandir(path)

    monkeypatch.setattr(os, "scandir", refusing)
    source = FolderSource(tmp_path)
    assert names(source) == ["b/1.png"]
    assert [(one.name, one.reason, one.damage) for one in source.skipped] == [
        ("a/", "a folder that cannot be read: Permission denied", True)
    ]


def test_a_file_that_cannot_be_looked_into_is_a_row_unless_its_name_says_what_it_is(tmp_path, monkeypatch):
    touch(tmp_path, "a", "b.txt", "c.png")
    opened = os.open

    def refusing(path, *args, **options):
        if str(path).startswith(str(tmp_path)):
            raise PermissionError(13, "Permission denied")
        return opened(path, *args, **options)

    monkeypatch.setattr(os, "open", refusing)
    source = FolderSource(tmp_path)
    assert names(source) == ["a", "c.png"]
    assert "Permission denied" in reasons(source)["b.txt"]


def test_folders_as_deep_as_a_path_may_be_are_walked_and_deeper_ones_named(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    assert sys.getrecursionlimit() < 1200
    for _ in range(1200):
        os.mkdir("d")
        os.chdir("d")
    with open("1.png", "wb") as file:
        file.write(PNG)
    long = "x" * 250
    for _ in range(10):
        os.mkdir(long)
        os.chdir(long)
    os.chdir(tmp_path)
    source = FolderSource(".")
    assert names(source) == ["d/" * 1200 + "1.png"]
    assert source.entries[0].read() == PNG
    (deepest,) = source.skipped
    assert deepest.damage
    assert "too long" in deepest.reason
    subprocess.run(["rm", "-rf", "d"], check=True)  # Python's own rmtree is recursive


def test_two_links_to_one_folder_are_both_read(tmp_path):
    touch(tmp_path, "elsewhere/1.png")
    (tmp_path / "photos").mkdir()
    for name in ("a", "b"):
        (tmp_path / "photos" / name).symlink_to(tmp_path / "elsewhere")
    assert names(FolderSource(tmp_path / "photos")) == ["a/1.png", "b/1.png"]


def test_folders_that_link_to_each_other_come_to_an_end_and_say_what_was_passed_over(tmp_path):
    folders = [f"f{k}" for k in range(7)]
    for one in folders:
        touch(tmp_path, f"{one}/1.png")
        for other in folders:
            (tmp_path / one / other).symlink_to(tmp_path / other)
        (tmp_path / one / "up").symlink_to(tmp_path)
    source = FolderSource(tmp_path)
    assert {f"{one}/1.png" for one in folders} <= set(names(source))
    assert len(names(source)) < 2000
    assert set(reasons(source).values()) == {CIRCLE, AGAIN}


def test_empty_folders_are_found(tmp_path):
    touch(tmp_path, "a/1.png")
    (tmp_path / "b/c").mkdir(parents=True)
    assert [found.name for found in walk(str(tmp_path)) if not found.entry] == ["a/", "b/", "b/c/"]
    assert FolderSource(tmp_path).folders == ["a/", "b/", "b/c/"]
