import os
import pickle

import pytest

from clsbench.errors import DataError
from clsbench.images.entries import FileEntry
from clsbench.images.sources.folder import FolderSource
from clsbench.images.sources.given import open_paths
from clsbench.images.sources.lists import open_list
from clsbench.images.sources.paths import PathsSource, entry_below
from clsbench.images.sources.source import Skipped, skipped_notes


def touch(root, *names):
    for name in names:
        (root / name).parent.mkdir(parents=True, exist_ok=True)
        (root / name).write_bytes(name.encode("utf-8", "surrogateescape"))


def names(source):
    return [entry.name for entry in source.entries]


def test_names_are_relative_sorted_and_have_forward_slashes(tmp_path):
    expected = ["b/2.png", "a/deep/er/1.JPG", "a/10.webp", "a/9.jpeg", "z.tif"]
    touch(tmp_path, *expected)
    assert names(FolderSource(tmp_path)) == sorted(expected)


@pytest.mark.parametrize("prefix", ["", "train/"])
def test_an_entry_reads_its_file_whatever_stands_before_its_name(tmp_path, prefix):
    touch(tmp_path, "a/1.png", "b/2.png")
    source = FolderSource(tmp_path, prefix)
    assert source.location == str(tmp_path)
    assert {entry.name: entry.read() for entry in source.entries} == {
        f"{prefix}a/1.png": b"a/1.png",
        f"{prefix}b/2.png": b"b/2.png",
    }


def test_entries_of_every_source_can_be_pickled(tmp_path):
    touch(tmp_path, "a/1.png")
    for source in (FolderSource(tmp_path), FolderSource(tmp_path / "a/1.png"), PathsSource(["a/1.png"], base=tmp_path)):
        (again,) = pickle.loads(pickle.dumps(source.entries))
        assert again == source.entries[0]
        assert again.read() == b"a/1.png"


def test_other_files_are_skipped_and_counted_by_suffix(tmp_path):
    touch(tmp_path, "a.png", "notes.txt", "more/readme.TXT", "LICENSE")
    source = FolderSource(tmp_path)
    assert names(source) == ["a.png"]
    assert {skipped.name for skipped in source.skipped} == {"notes.txt", "more/readme.TXT", "LICENSE"}
    assert skipped_notes(source.skipped) == ["not images by their first bytes, left out: 2 .txt, 1 no suffix"]


def test_photos_of_phones_that_are_not_read_are_told_with_what_helps(tmp_path):
    touch(tmp_path, "a.png", "IMG_1.DNG", "IMG_2.dng", "notes.txt")
    assert skipped_notes(FolderSource(tmp_path).skipped) == [
        "photos of a format that is not read, left out: 2 .dng (convert them to JPEG)",
        "not images by their first bytes, left out: 1 .txt",
    ]


def test_nothing_skipped_needs_no_note():
    assert skipped_notes([]) == []


def test_other_reasons_have_a_note_each():
    skipped = [Skipped("a.png", "encrypted"), Skipped("b.png", "too large"), Skipped("c.png", "encrypted")]
    assert skipped_notes(skipped) == ["2 left out: encrypted, such as a.png", "1 left out: too large, such as b.png"]


def test_hidden_files_and_folders_are_passed_over(tmp_path):
    touch(tmp_path, "a.png", ".b.png", ".thumbnails/c.png", "__MACOSX/a.png")
    source = FolderSource(tmp_path)
    assert names(source) == ["a.png"]
    assert [one.name for one in source.skipped] == [".thumbnails/", "__MACOSX/"]


def test_a_file_is_a_source_of_one_whatever_its_suffix(tmp_path):
    touch(tmp_path, "image.dat")
    source = FolderSource(tmp_path / "image.dat")
    assert source.entries == [FileEntry("image.dat", str(tmp_path / "image.dat"))]


def test_plugins_add_suffixes(tmp_path):
    touch(tmp_path, "scan.dcm")
    assert names(FolderSource(tmp_path, suffixes={".dcm"})) == ["scan.dcm"]


def test_links_are_followed_but_not_in_circles(tmp_path):
    touch(tmp_path, "elsewhere/cat/1.png")
    (tmp_path / "photos").mkdir()
    (tmp_path / "photos/cat").symlink_to(tmp_path / "elsewhere/cat")
    (tmp_path / "elsewhere/cat/loop").symlink_to(tmp_path / "photos")
    assert names(FolderSource(tmp_path / "photos")) == ["cat/1.png"]


def test_a_folder_met_twice_is_listed_the_same_in_whatever_order_the_disk_answers(tmp_path, monkeypatch):
    touch(tmp_path, "a/1.png")
    (tmp_path / "b").symlink_to(tmp_path / "a")
    scandir, found = os.scandir, []
    for reverse in (False, True):
        monkeypatch.setattr(
            os, "scandir", lambda path, r=reverse: sorted(scandir(path), key=lambda entry: entry.name, reverse=r)
        )
        found.append(names(FolderSource(tmp_path)))
    assert found[0] == found[1]


def test_names_that_are_not_utf8_are_listed(tmp_path):
    touch(tmp_path, os.fsdecode(b"caf\xe9.png"))
    (entry,) = FolderSource(tmp_path).entries
    assert (entry.name, entry.read()) == ("caf\udce9.png", b"caf\xe9.png")


@pytest.mark.parametrize(
    ("files", "message"), [([], "no files"), (["a.txt", "b.txt"], r"only other files \(2 \.txt\)")]
)
def test_a_folder_without_images_says_what_was_there(tmp_path, files, message):
    touch(tmp_path, *files)
    with pytest.raises(DataError, match=message):
        FolderSource(tmp_path)


def test_a_missing_folder_is_named(tmp_path):
    with pytest.raises(DataError, match="nowhere"):
        FolderSource(tmp_path / "nowhere")


def test_paths_keep_their_order_and_their_names(tmp_path):
    touch(tmp_path, "z.png", "a/b.png")
    paths = ["z.png", "a/b.png", str(tmp_path / "z.png")]
    source = PathsSource(paths, base=tmp_path)
    assert names(source) == paths
    assert [entry.read() for entry in source.entries] == [b"z.png", b"a/b.png", b"z.png"]


@pytest.mark.parametrize("newline", ["\n", "\r\n"])
def test_a_list_names_files_relative_to_its_folder(tmp_path, monkeypatch, newline):
    touch(tmp_path, "photos/b.png", "photos/a, 1.png", "more/c.png")
    listed = ["b.png", "a, 1.png", "", "../more/c.png", str(tmp_path / "photos/absent.png")]
    (tmp_path / "photos/list.txt").write_text("\ufeff" + newline.join(listed), encoding="utf-8", newline="")
    for folder, location in ((tmp_path, "photos/list.txt"), (tmp_path / "photos", "list.txt")):
        monkeypatch.chdir(folder)
        source = open_list(location)
        assert source.location == location
        assert names(source) == [name for name in listed if name]
        contents = [entry.read() for entry in source.entries[:3]]
        assert contents == [b"photos/b.png", b"photos/a, 1.png", b"more/c.png"]
        with pytest.raises(DataError, match="cannot be read"):
            source.entries[3].read()


def test_a_list_may_name_what_is_not_utf8(tmp_path):
    touch(tmp_path, os.fsdecode(b"caf\xe9.png"))
    (tmp_path / "list.txt").write_bytes(b"caf\xe9.png\n")
    assert open_list(tmp_path / "list.txt").entries[0].read() == b"caf\xe9.png"


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b"", "names no images"),
        (b"\n \n", "names no images"),
        (b"a.png\nb.png\na.png\n", r"listed twice\n  where: .*list\.txt:3\n  got: a\.png, also in line 1"),
        (b"\x89PNG\r\n\x1a\n\0\0", "not a list of images"),
    ],
)
def test_lists_that_make_no_sense_are_refused(tmp_path, content, message):
    (tmp_path / "list.txt").write_bytes(content)
    with pytest.raises(DataError, match=message):
        open_list(tmp_path / "list.txt")


def test_a_missing_list_is_named(tmp_path):
    with pytest.raises(DataError, match=r"cannot be read\n  where: .*nowhere\.txt"):
        open_list(tmp_path / "nowhere.txt")


def test_an_entry_below_a_folder_is_read_from_there(tmp_path):
    touch(tmp_path, "photos/a/1.png")
    assert entry_below(tmp_path / "photos", "a/../a/1.png").read() == b"photos/a/1.png"


@pytest.mark.parametrize("name", ["../secret.png", "a/../../secret.png", "link/secret.png", "a\0b"])
def test_a_name_that_leads_out_of_the_folder_is_refused(tmp_path, name):
    touch(tmp_path, "secret.png", "photos/a/1.png")
    (tmp_path / "photos/link").symlink_to(tmp_path)
    for refused in (name, str(tmp_path / "secret.png")):
        with pytest.raises(DataError, match=r"leads out of the folder|not a path"):
            entry_below(tmp_path / "photos", refused)


def test_several_locations_keep_their_order_and_are_named_as_given(tmp_path, monkeypatch):
    touch(tmp_path, "b/1.png", "a/1.png", "a/x/2.png", "1.png")
    monkeypatch.chdir(tmp_path)
    source = open_paths(["b/1.png", "./1.png", "a", "absent.png"])
    assert names(source) == ["b/1.png", "1.png", "a/1.png", "a/x/2.png", "absent.png"]
    assert [entry.read() for entry in source.entries[:2]] == [b"b/1.png", b"1.png"]
    assert names(open_paths([str(tmp_path / "a")])) == [f"{tmp_path}/a/1.png", f"{tmp_path}/a/x/2.png"]
    assert names(open_paths(["."])) == ["1.png", "a/1.png", "a/x/2.png", "b/1.png"]


def test_what_two_patterns_match_is_there_once(tmp_path, monkeypatch):
    touch(tmp_path, "a/1.png", "a/2.png", "a/notes.txt", "a/x/3.png")
    monkeypatch.chdir(tmp_path)
    source = open_paths(["a/1.png", "a/*.png", "**/*.png", "a/*"])
    assert names(source) == ["a/1.png", "a/2.png", "a/x/3.png"]
    assert source.skipped == [Skipped("a/notes.txt", "not an image by its first bytes")]
    with pytest.raises(DataError, match="listed twice"):
        open_paths(["a/1.png", "a/1.png"])


def test_a_file_whose_name_is_a_pattern_is_that_file(tmp_path, monkeypatch):
    touch(tmp_path, "[1].png", "1.png")
    monkeypatch.chdir(tmp_path)
    assert names(open_paths(["[1].png"])) == ["[1].png"]


def test_what_systems_leave_in_peoples_folders_is_neither_an_image_nor_a_finding(tmp_path):
    for name in ("cat/.DS_Store", "cat/Thumbs.db", "cat/desktop.ini", "cat/._1.png", "Icon\r", "cat/1.png", "note.txt"):
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).touch()
    for folder in ("__MACOSX/cat", ".thumbnails", "cat/@eaDir", "$RECYCLE.BIN", "System Volume Information"):
        (tmp_path / folder).mkdir(parents=True)
        (tmp_path / folder / "2.png").touch()
    source = FolderSource(tmp_path)
    assert [entry.name for entry in source.entries] == ["cat/1.png"]
    assert skipped_notes(source.skipped) == [
        "5 left out: a hidden folder, or one of the system, such as $RECYCLE.BIN/",
        "not images by their first bytes, left out: 1 .txt",
    ]
