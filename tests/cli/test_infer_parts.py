"""``infer --out FOLDER/``: Parquet parts, for jobs whose one file would be unwieldy."""

import json
import os
from pathlib import Path

import numpy as np
import pyarrow.dataset
import pyarrow.parquet
import pytest

from clsbench import infer
from clsbench.errors import DataError, OptionError
from clsbench.predictions.reading import read_predictions
from tests.conftest import COLOURS, picture


@pytest.fixture
def photos(tmp_path, monkeypatch):
    """Eleven images in class folders, one of them damaged."""
    monkeypatch.chdir(tmp_path)
    for k in range(11):
        colour = list(COLOURS)[k % 3]
        Path("photos", colour).mkdir(parents=True, exist_ok=True)
        picture(colour, size=(8, 8), seed=k).save(f"photos/{colour}/{k:02}.png")
    next(Path("photos").glob("*/03.png")).write_bytes(b"\x89PNG\r\n\x1a\nno picture")
    return Path("photos")


def test_parts_are_one_table_and_the_same_rows_as_one_file(cli, photos, featured_onnx):
    more = ("--probabilities", "--features", "--model", featured_onnx)
    done = cli("infer", "photos", *more, "--out", "preds/", "--with", "writer.part_rows=4")
    assert done.code == 0, done.stderr
    assert "written: preds and preds.json" in done.stderr
    assert sorted(os.listdir("preds")) == ["_common_metadata", *(f"part-0000{k}.parquet" for k in range(3))]
    assert [pyarrow.parquet.read_metadata(f"preds/part-0000{k}.parquet").num_rows for k in range(3)] == [4, 4, 3]
    assert cli("infer", "photos", *more, "--out", "one.parquet").code == 0
    tables = pyarrow.dataset.dataset("preds").to_table(), pyarrow.parquet.read_table("one.parquet")
    assert tables[0].drop("features").equals(tables[1].drop("features"))
    features = [np.array(table["features"].to_pylist()) for table in tables]
    np.testing.assert_array_equal(*features)  # which takes one NaN for the other
    found = {
        file: json.loads(cli("evaluate", file, "--json", "-", "--quiet").stdout) for file in ("preds", "one.parquet")
    }
    assert found["preds"]["metrics"] == found["one.parquet"]["metrics"]
    assert sorted(path.name for path in Path().iterdir() if path.name.startswith("preds")) == ["preds", "preds.json"]


def test_the_folder_alone_knows_its_classes(photos, tiny_onnx):
    result = infer(photos, model=tiny_onnx, out="preds/")
    Path("preds.json").unlink()
    with read_predictions(Path("preds")) as table:
        assert table.classes == result.card.classes
        assert len(table.names) == 11
        assert not table.notes


def test_a_folder_that_is_there_gets_parts_and_is_replaced_only_if_asked(photos, tiny_onnx):
    Path("out").mkdir()
    infer(photos, model=tiny_onnx, out=Path("out"), resume=True)
    before = Path("out/part-00000.parquet").read_bytes()
    assert infer(photos, model=tiny_onnx, out="out", resume=True).recorded
    with pytest.raises(DataError, match="the output is there already"):
        infer(photos, model=tiny_onnx, out="out")
    infer(photos, model=tiny_onnx, out="out", options={"writer.part_rows": 2}, overwrite=True)
    assert sorted(os.listdir("out"))[1:] == [f"part-0000{k}.parquet" for k in range(6)]
    infer(photos, model=tiny_onnx, out="out", overwrite=True)
    assert sorted(os.listdir("out")) == ["_common_metadata", "part-00000.parquet"]
    assert Path("out/part-00000.parquet").read_bytes() == before


@pytest.mark.parametrize("overwrite", [False, True])
def test_files_of_others_are_never_lost(photos, tiny_onnx, overwrite):
    Path("thesis").mkdir()
    Path("thesis/chapter.tex").write_text("years of work")
    for out in ("thesis", "photos/"):
        with pytest.raises(DataError, match="the folder for the predictions holds other files"):
            infer(photos, model=tiny_onnx, out=out, overwrite=overwrite)
    assert Path("thesis/chapter.tex").read_text() == "years of work"
    Path("notes").write_text("text")
    with pytest.raises(DataError, match="the predictions need a folder"):
        infer(photos, model=tiny_onnx, out="notes/", overwrite=overwrite)


def test_what_a_folder_cannot_be(photos, tiny_onnx):
    with pytest.raises(OptionError, match="a shard is one file, which merge takes"):
        infer(photos, model=tiny_onnx, out="preds/", shard="1/2")
    with pytest.raises(OptionError, match="a part has rows"):
        infer(photos, model=tiny_onnx, out="preds/", options={"writer.part_rows": 0})
    with pytest.raises(OptionError, match="a slash makes a folder of Parquet parts: preds/"):
        infer(photos, model=tiny_onnx, out="preds")
    assert not Path("preds").exists()


def test_damaged_folders_are_errors(cli, photos, tiny_onnx):
    infer(photos, model=tiny_onnx, out="preds/", options={"writer.part_rows": 4})
    second = Path("preds/part-00001.parquet")
    second.rename("elsewhere")
    done = cli("evaluate", "preds")
    assert (done.code, "parts of the predictions are missing" in done.stderr) == (1, True)
    second.write_bytes(b"no Parquet")
    done = cli("evaluate", "preds")
    assert done.code == 1
    assert "part-00001.parquet" in done.stderr
    pyarrow.parquet.write_table(pyarrow.table({"path": ["a"]}), second)
    done = cli("evaluate", "preds")
    assert (done.code, "a part of the predictions has other columns" in done.stderr) == (1, True)


def test_an_interrupted_job_leaves_no_folder(photos, tiny_onnx, monkeypatch):
    from clsbench.predictions import parquet_writers

    def full(file):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(parquet_writers, "sync", full)
    with pytest.raises(DataError, match="the predictions cannot be written"):
        infer(photos, model=tiny_onnx, out="preds/")
    assert [path.name for path in Path().iterdir()] == ["photos"]


@pytest.mark.parametrize("overwrite", [False, True])
def test_what_only_looks_like_parts_is_never_lost(photos, tiny_onnx, overwrite):
    Path("a/part-00000.parquet").mkdir(parents=True)
    Path("a/part-00000.parquet/chapter.tex").write_text("years of work")
    Path("b").mkdir()
    pyarrow.parquet.write_table(pyarrow.table({"path": ["green/01.png"]}), "b/part-00000.parquet")
    for out in "ab":
        with pytest.raises(DataError, match="the folder for the predictions holds other files"):
            infer(photos, model=tiny_onnx, out=f"{out}/", overwrite=overwrite)
    assert Path("a/part-00000.parquet/chapter.tex").read_text() == "years of work"
    assert pyarrow.parquet.read_table("b/part-00000.parquet").column_names == ["path"]


def test_a_part_that_is_read_is_not_overwritten(photos, tiny_onnx):
    infer(photos, model=tiny_onnx, out="photos/preds/", labels="none")
    part = Path("photos/preds/part-00000.parquet")
    before = part.read_bytes()
    with pytest.raises(DataError, match="the output would overwrite an input"):
        infer(part, model=tiny_onnx, out=part.parent, labels="none", overwrite=True)
    assert part.read_bytes() == before


def test_files_that_come_while_the_job_runs_are_kept(photos, tiny_onnx, monkeypatch):
    from clsbench.predictions.parquet_writers import ParquetPartsWriter

    infer(photos, model=tiny_onnx, out="preds/")
    finish = ParquetPartsWriter._finish

    def late(writer):
        Path("preds/notes.txt").write_text("mine")
        finish(writer)

    monkeypatch.setattr(ParquetPartsWriter, "_finish", late)
    with pytest.raises(DataError, match="the folder for the predictions holds other files"):
        infer(photos, model=tiny_onnx, out="preds/", overwrite=True)
    assert sorted(os.listdir("preds")) == ["_common_metadata", "notes.txt", "part-00000.parquet"]
    assert sorted(os.listdir()) == ["photos", "preds", "preds.json"]


def test_a_folder_that_cannot_be_replaced_is_refused_before_the_work(photos, tiny_onnx, monkeypatch):
    Path("empty").mkdir()
    monkeypatch.chdir("empty")
    for out in (".", "./", "..", "../empty/", "new/.."):
        with pytest.raises(DataError, match="working directory, or has no name"):
            infer("../photos", model=tiny_onnx, out=out, format="parquet-parts")
    monkeypatch.setattr(os.path, "ismount", lambda path: True)
    with pytest.raises(DataError, match="a file system is mounted at the folder"):
        infer("../photos", model=tiny_onnx, out="disk/")
    assert not os.listdir()
    assert sorted(os.listdir("..")) == ["empty", "photos"]


def test_the_working_directory_may_be_the_folder_that_is_read(cli, photos, tiny_onnx, monkeypatch):
    infer(photos, model=tiny_onnx, out="preds/")
    monkeypatch.chdir("preds")
    done = cli("evaluate", ".")
    assert (done.code, "ValueError" in done.stderr) == (0, False), done.stderr


def test_a_folder_keeps_its_permissions(photos, tiny_onnx):
    Path("preds").mkdir()
    Path("preds").chmod(0o2770)
    infer(photos, model=tiny_onnx, out="preds/")
    infer(photos, model=tiny_onnx, out="preds/", overwrite=True)
    assert Path("preds").stat().st_mode & 0o7777 == 0o2770


def test_a_folder_without_its_last_part_does_not_look_finished(cli, photos, tiny_onnx):
    parts = {"options": {"writer.part_rows": 4}}
    infer(photos, model=tiny_onnx, out="preds/", resume=True, **parts)
    Path("preds/part-00002.parquet").unlink()
    with pytest.raises(DataError, match="the folder of parts is not complete"):
        infer(photos, model=tiny_onnx, out="preds/", resume=True, **parts)
    done = cli("evaluate", "preds")
    assert (done.code, "got: 8 rows" in done.stderr, "expected: 11" in done.stderr) == (1, True, True)


def test_parts_have_numbers_of_a_sensible_size(cli, photos, tiny_onnx):
    infer(photos, model=tiny_onnx, out="preds/")
    Path("preds/part-00000.parquet").rename("preds/part-99999999999.parquet")
    done = cli("evaluate", "preds")
    assert (done.code, "no part-00000.parquet" in done.stderr) == (1, True)
    for name in ("part-000000.parquet", f"part-{10**30}.parquet"):  # written by nobody: they are other files
        Path("preds", name).write_bytes(b"")
        with pytest.raises(DataError, match=name):
            infer(photos, model=tiny_onnx, out="preds/", overwrite=True)
        Path("preds", name).unlink()


def test_no_other_output_is_put_into_the_folder(cli, photos, tiny_onnx):
    model = ("--model", tiny_onnx)
    for more in (("--json", "preds/part-00000.parquet"), ("--copy", "preds/sorted"), ("--move", "preds")):
        done = cli("infer", "photos", *model, "--out", "preds/", *more)
        assert (done.code, "an output would be in the folder of another" in done.stderr) == (1, True)
    assert os.listdir() == ["photos"]


@pytest.mark.parametrize("out", ["odd\udcff/", "odd\udcff.parquet"])
def test_a_path_that_arrow_cannot_open_is_refused(photos, tiny_onnx, out):
    with pytest.raises(DataError, match="Parquet files need a path in UTF-8"):
        infer(photos, model=tiny_onnx, out=out)
    assert os.listdir() == ["photos"]


def test_a_pipe_is_no_part_and_is_not_waited_for(cli, photos, tiny_onnx):
    infer(photos, model=tiny_onnx, out="preds/", options={"writer.part_rows": 4})
    Path("preds/part-00001.parquet").unlink()
    os.mkfifo("preds/part-00001.parquet")
    done = cli("evaluate", "preds")
    assert (done.code, "a part of the predictions cannot be read" in done.stderr) == (1, True)
    with pytest.raises(DataError, match="holds other files"):
        infer(photos, model=tiny_onnx, out="preds/", overwrite=True)
