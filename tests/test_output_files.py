import errno
import os
import stat

import pytest

from clsbench.errors import DataError
from clsbench.output_files import WholeFile, check_folder, check_writable, commit_together, whole_file


def mode(file):
    return stat.S_IMODE(file.stat().st_mode)


@pytest.fixture
def umask():
    before = os.umask(0o027)
    yield 0o640
    os.umask(before)


def test_a_file_has_its_own_name_only_when_it_is_complete(tmp_path):
    file = tmp_path / "new" / "a.txt"
    with whole_file(file, "the text") as path:
        path.write_text("half")
        assert not file.exists()
    assert file.read_text() == "half"
    assert [one.name for one in file.parent.iterdir()] == ["a.txt"]


def write_half(path):
    path.write_text("half")
    full()


def full(*_, **__):
    raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))


def test_an_error_of_the_system_keeps_the_earlier_file_and_leaves_nothing_else(tmp_path):
    file = tmp_path / "a.txt"
    file.write_text("good")
    words = r"(?s)the text cannot be written.*a\.txt.*No space left.*free some space"
    with pytest.raises(DataError, match=words), whole_file(file, "the text") as path:
        write_half(path)
    assert file.read_text() == "good"
    assert list(tmp_path.iterdir()) == [file]


@pytest.mark.parametrize(("before", "note"), [(True, "was not written; it is as before"), (False, "was not written")])
def test_an_interrupt_says_what_became_of_the_file(tmp_path, before, note):
    file = tmp_path / "a.txt"
    if before:
        file.touch()
    with pytest.raises(KeyboardInterrupt) as interrupt, whole_file(file, "the text"):
        raise KeyboardInterrupt
    assert interrupt.value.__notes__ == [f"{file} {note}"]
    assert not list(tmp_path.glob("*.partial"))


def test_a_new_file_has_the_permissions_of_the_umask_whatever_wrote_it(tmp_path, umask):
    with whole_file(tmp_path / "a", "a file") as path:
        path.unlink()
        os.close(os.open(path, os.O_CREAT | os.O_WRONLY, 0o600))  # as safetensors and tempfile make files
    assert mode(tmp_path / "a") == umask


def test_a_replaced_file_keeps_its_permissions(tmp_path, umask):
    file = tmp_path / "a"
    file.touch()
    file.chmod(0o664)
    with whole_file(file, "a file") as path:
        path.write_text("new")
    assert (mode(file), file.read_text()) == (0o664, "new")


def test_a_link_stays_a_link(tmp_path):
    (tmp_path / "link").symlink_to(tmp_path / "real")
    with whole_file(tmp_path / "link", "a file") as path:
        path.write_text("new")
    assert (tmp_path / "link").is_symlink()
    assert (tmp_path / "real").read_text() == "new"


def test_a_pipe_is_written_to_and_not_replaced(tmp_path):
    pipe = tmp_path / "pipe"
    os.mkfifo(pipe)
    reader = os.open(pipe, os.O_RDONLY | os.O_NONBLOCK)
    check_writable(pipe, "a file")
    with whole_file(pipe, "a file") as path:
        path.write_text("through")
    assert os.read(reader, 20) == b"through"
    os.close(reader)
    assert stat.S_ISFIFO(pipe.stat().st_mode)


def test_what_cannot_be_written_is_known_before(tmp_path, monkeypatch):
    (tmp_path / "taken").touch()
    (tmp_path / "folder").mkdir()
    for path, words in {
        tmp_path / "folder": "it is a folder",
        tmp_path / "taken" / "a": "taken is a file",
        tmp_path / ("a" * 300): "(?s)File name too long.*a shorter name",
    }.items():
        with pytest.raises(DataError, match=words):
            check_writable(path, "a file")
    with pytest.raises(DataError, match="taken is a file"):
        check_folder(tmp_path / "taken", "the run")
    monkeypatch.setattr("tempfile.TemporaryFile", full)
    with pytest.raises(DataError, match=r"(?s)a file cannot be written.*No space left"):
        check_writable(tmp_path / "new" / "a", "a file")
    with pytest.raises(DataError, match=r"(?s)the run cannot be written.*No space left"):
        check_folder(tmp_path / "new", "the run")


def test_a_file_that_may_not_be_changed_is_not_replaced(tmp_path, monkeypatch):
    file = tmp_path / "a"
    file.touch(mode=0o444)
    monkeypatch.setattr(os, "access", lambda path, mode: False)  # the tests may be run by root
    with pytest.raises(DataError, match=r"(?s)may not be changed.*change the permissions"):
        check_writable(file, "a file")


def test_asking_leaves_nothing_behind(tmp_path):
    check_writable(tmp_path / "new" / "a", "a file")
    check_folder(tmp_path / "new", "the run")
    assert list(tmp_path.iterdir()) == []


def test_a_file_being_written_has_a_name_that_nobody_else_has(tmp_path):
    precious = tmp_path / "precious.txt"
    precious.write_text("precious")
    (tmp_path / "a.txt.partial").symlink_to(precious)
    with whole_file(tmp_path / "a.txt", "a file") as first, whole_file(tmp_path / "a.txt", "a file") as second:
        first.write_text("first")
        second.write_text("second")
    assert (tmp_path / "a.txt").read_text() == "first"  # the one that ended last
    assert precious.read_text() == "precious"


@pytest.mark.parametrize("name", ["a" * 251 + ".txt", "ä" * 127])
def test_a_name_as_long_as_names_may_be(tmp_path, name):
    with whole_file(tmp_path / name, "a file") as path:
        path.write_text("long")
    assert [one.name for one in tmp_path.iterdir()] == [name]


def begun(file, text, **options):
    whole = WholeFile(file, f"the {file.stem}", **options)
    whole.begin()
    whole.path.write_text(text)
    return whole


@pytest.mark.parametrize("before", [True, False])
def test_files_that_belong_together_appear_together(tmp_path, before):
    rows, facts = tmp_path / "rows", tmp_path / "facts"
    if before:
        rows.write_text("old")
        facts.write_text("old")
    commit_together([begun(rows, "new"), begun(facts, "new")])
    assert {file.name: file.read_text() for file in tmp_path.iterdir()} == {"rows": "new", "facts": "new"}


def no_links(source, target):
    os.stat(source)
    raise PermissionError(errno.EPERM, os.strerror(errno.EPERM))


@pytest.mark.parametrize("links", [True, False])
@pytest.mark.parametrize("before", [{"rows": "old", "facts": "old"}, {"rows": "old"}, {}])
@pytest.mark.parametrize("broken", ["rows", "facts"])
def test_when_one_cannot_be_finished_all_are_as_before(tmp_path, monkeypatch, before, broken, links):
    for name, text in before.items():
        (tmp_path / name).write_text(text)
    files = [begun(tmp_path / name, "new") for name in ("rows", "facts")]
    monkeypatch.setattr(files[broken == "facts"], "_rename", full)
    if not links:
        monkeypatch.setattr(os, "link", no_links)
    with pytest.raises(DataError, match=f"(?s)the {broken} cannot be written.*No space"):
        commit_together(files)
    assert {file.name: file.read_text() for file in tmp_path.iterdir()} == before
