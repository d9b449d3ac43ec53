import os

import pytest

from clsbench.errors import DataError
from clsbench.images.listing import list_images


def touch(root, *names):
    for name in names:
        (root / name).parent.mkdir(parents=True, exist_ok=True)
        (root / name).touch()


def test_names_are_relative_sorted_and_have_forward_slashes(tmp_path):
    names = ["b/2.png", "a/deep/er/1.JPG", "a/10.webp", "a/9.jpeg", "z.tif"]
    touch(tmp_path, *names)
    assert list_images(tmp_path).names == sorted(names)


def test_other_files_are_counted_by_suffix(tmp_path):
    touch(tmp_path, "a.png", "notes.txt", "more/readme.TXT", "LICENSE")
    listing = list_images(tmp_path)
    assert listing.names == ["a.png"]
    assert listing.skipped == {".txt": 2, "no suffix": 1}


def test_hidden_files_and_folders_are_passed_over(tmp_path):
    touch(tmp_path, "a.png", ".b.png", ".thumbnails/c.png", "__MACOSX/a.png")
    listing = list_images(tmp_path)
    assert (listing.names, dict(listing.skipped)) == (["a.png"], {})


def test_a_file_is_a_list_of_one_whatever_its_suffix(tmp_path):
    touch(tmp_path, "image.dat")
    listing = list_images(tmp_path / "image.dat")
    assert (listing.root, listing.names) == (tmp_path, ["image.dat"])


def test_plugins_add_suffixes(tmp_path):
    touch(tmp_path, "scan.dcm")
    assert list_images(tmp_path, suffixes=frozenset({".dcm"})).names == ["scan.dcm"]


def test_links_are_followed_but_not_in_circles(tmp_path):
    touch(tmp_path, "elsewhere/cat/1.png")
    (tmp_path / "photos").mkdir()
    (tmp_path / "photos/cat").symlink_to(tmp_path / "elsewhere/cat")
    (tmp_path / "elsewhere/cat/loop").symlink_to(tmp_path / "photos")
    assert list_images(tmp_path / "photos").names == ["cat/1.png"]


def test_a_folder_met_twice_is_listed_the_same_in_whatever_order_the_disk_answers(tmp_path, monkeypatch):
    touch(tmp_path, "a/1.png")
    (tmp_path / "b").symlink_to(tmp_path / "a")
    scandir, found = os.scandir, []
    for reverse in (False, True):
        monkeypatch.setattr(
            os, "scandir", lambda path, r=reverse: sorted(scandir(path), key=lambda entry: entry.name, reverse=r)
        )
        found.append(list_images(tmp_path).names)
    assert found[0] == found[1]


def test_names_that_are_not_utf8_are_listed(tmp_path):
    touch(tmp_path, os.fsdecode(b"caf\xe9.png"))
    assert list_images(tmp_path).names == ["caf\udce9.png"]


@pytest.mark.parametrize(
    ("names", "message"), [([], "no files"), (["a.txt", "b.txt"], r"only other files \(2 \.txt\)")]
)
def test_a_folder_without_images_says_what_was_there(tmp_path, names, message):
    touch(tmp_path, *names)
    with pytest.raises(DataError, match=message):
        list_images(tmp_path)


def test_a_missing_folder_is_named(tmp_path):
    with pytest.raises(DataError, match="nowhere"):
        list_images(tmp_path / "nowhere")
