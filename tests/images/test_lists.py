import io
import json
import os
import sys

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from clsbench.errors import DataError
from clsbench.images.sources.lists import open_list
from clsbench.images.sources.paths import PathsSource

PATHS = ["a.png", "b, 1.png", "ü/é.png", 'quo"te.png', "new\nline.png"]


def names(source):
    return [entry.name for entry in source.entries]


def write(folder, suffix, paths, column="path"):
    file = folder / f"list{suffix}"
    if suffix == ".csv":
        rows = ['"' + path.replace('"', '""') + '"' for path in paths]
        file.write_text("\n".join([f"id,{column}", *(f"7,{row}" for row in rows)]), encoding="utf-8")
    elif suffix == ".jsonl":
        file.write_text("\n".join(json.dumps({"id": 7, column: path}) for path in paths))
    else:
        pq.write_table(pa.table({"id": [7] * len(paths), column: paths}), file)
    return file


@pytest.mark.parametrize("suffix", [".csv", ".jsonl", ".parquet"])
@pytest.mark.parametrize("column", ["path", "Filename", "image"])
def test_tables_name_files_relative_to_their_folder(tmp_path, suffix, column):
    source = open_list(write(tmp_path, suffix, PATHS, column))
    assert names(source) == PATHS
    assert [entry.path for entry in source.entries] == [str(tmp_path / path) for path in PATHS]


@pytest.mark.parametrize("suffix", [".csv", ".jsonl", ".parquet"])
def test_a_column_can_be_named_and_has_to_be_there(tmp_path, suffix):
    file = write(tmp_path, suffix, PATHS, "photo")
    assert names(open_list(file, column="photo")) == PATHS
    with pytest.raises(DataError, match=r"no column of paths(.|\n)*id, photo(.|\n)*list\.column=NAME"):
        open_list(file)
    with pytest.raises(DataError, match="no column 'picture'"):
        open_list(file, column="picture")


@pytest.mark.parametrize("suffix", [".csv", ".jsonl", ".parquet"])
def test_a_path_may_be_there_once(tmp_path, suffix):
    with pytest.raises(DataError, match=r"listed twice\n  where: .*list(.|\n)*a\.png"):
        open_list(write(tmp_path, suffix, ["a.png", "b.png", "a.png"]))


@pytest.mark.parametrize("suffix", [".csv", ".jsonl", ".parquet"])
def test_what_is_no_table_is_refused(tmp_path, suffix):
    (tmp_path / f"list{suffix}").write_bytes(b"PAR1 {\x00")
    with pytest.raises(DataError, match=f"list{suffix}"):
        open_list(tmp_path / f"list{suffix}")


def test_names_of_bytes_that_are_not_utf8(tmp_path):
    (tmp_path / "list.csv").write_bytes(b"path\ncaf\xe9.png\n")
    assert names(open_list(tmp_path / "list.csv")) == [os.fsdecode(b"caf\xe9.png")]


@pytest.mark.parametrize("kind", [pa.binary(), pa.large_string(), pa.dictionary(pa.int32(), pa.string())], ids=str)
def test_a_parquet_column_may_hold_paths_in_any_form(tmp_path, kind):
    pq.write_table(pa.table({"path": pa.array(["a.png", None, "b.png"]).cast(kind)}), tmp_path / "list.parquet")
    assert names(open_list(tmp_path / "list.parquet")) == ["a.png", "b.png"]


def test_labels_in_a_list_are_not_lost_without_a_word(tmp_path):
    (tmp_path / "list.csv").write_text("path,label\na.png,cat\n")
    (note,) = open_list(tmp_path / "list.csv").notes
    assert "--dataset csv" in note


def test_standard_input_starts_at_the_current_folder(monkeypatch):
    monkeypatch.setattr(sys, "stdin", io.TextIOWrapper(io.BytesIO(b"a.png\n/data/b.png\n")))
    source = open_list("-")
    assert [(entry.name, entry.path) for entry in source.entries] == [("a.png", "a.png"), ("/data/b.png",) * 2]
    assert source.location == "-"


def test_a_line_may_be_a_url(tmp_path):
    (tmp_path / "list.txt").write_text(f"a.png\nhttps://me:pw@host/b.png?Signature=s3cret\nfile://{tmp_path}/c.png\n")
    source = open_list(tmp_path / "list.txt")
    assert names(source) == ["a.png", "https://host/b.png?Signature=***", f"file://{tmp_path}/c.png"]
    assert source.entries[1].url == "https://me:pw@host/b.png?Signature=s3cret"
    assert "s3cret" not in repr(source.entries[1])
    assert source.entries[2].path == f"{tmp_path}/c.png"


def test_many_paths_take_little_more_than_their_bytes():
    source = PathsSource(f"photos/{k:06d}.png" for k in range(100_000))
    assert len(source.entries) == 100_000
    assert source.entries[99_999].name == "photos/099999.png"
    assert source.entries[-1] == source.entries[99_999]
    part = source.entries[10_000:90_000:2]
    assert (len(part), part[1].name, type(part[:3])) == (40_000, "photos/010002.png", list)
    assert [entry.name for entry in source.entries.take([5, 3])] == ["photos/000005.png", "photos/000003.png"]
