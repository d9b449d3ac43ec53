"""What infer writes for odd names, chosen columns and spreadsheets, from the command line."""

import csv
import json
import os
from pathlib import Path

import pyarrow.parquet
import pytest
from PIL import Image

NAMES = [b"caf\xe9.png", b"caf\xe8.png", b"=1+1.png", b"a,b\nc.png", b" x.png"]


@pytest.fixture
def odd(tmp_path):
    folder = tmp_path / "odd"
    for k, colour in enumerate(("red", "green")):
        (folder / colour).mkdir(parents=True)
        for name in NAMES:
            Image.new("RGB", (8, 8), (200 * (k == 0), 200 * (k == 1), 0)).save(os.fsdecode(name), "PNG")
            Path(os.fsdecode(name)).rename(folder / colour / os.fsdecode(name))
    return folder


@pytest.fixture
def infer(cli, tiny_onnx, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)

    def run(*arguments):
        done = cli("infer", *arguments, "--model", tiny_onnx, "--json", "facts.json")
        assert done.code == 0, done.stderr
        return done, json.loads(Path("facts.json").read_text())

    return run


@pytest.mark.parametrize("suffix", ["csv", "jsonl", "parquet"])
@pytest.mark.parametrize("more", [[], ["--escape-formulas"]])
def test_what_infer_writes_it_takes_as_labels_and_evaluate_reads(infer, cli, odd, suffix, more):
    file = f"p.{suffix}"
    _, facts = infer("odd", "--out", file, *(more if suffix == "csv" else ()))
    assert facts["counts"] == {"total": 10, "ok": 10, "errors": 0, "labelled": 10}
    Path("flat").mkdir()
    for folder in ("red", "green"):  # no class folders that infer could take the labels from
        (odd / folder).rename(Path("flat") / folder)
    _, again = infer("flat", "--labels", file)
    assert again["labels"]["source"] == file
    assert again["counts"]["labelled"] == 10
    for more in ([], ["--labels", file]):
        done = cli("evaluate", file, *more, "--json", "evaluated.json")
        assert done.code == 0, done.stderr
    (Path(file).with_name(f"{file}.json")).unlink()
    if suffix == "parquet":  # which knows its classes and images without its manifest
        found = json.loads(pyarrow.parquet.read_metadata(file).metadata[b"clsbench"])
        assert (found["images"], found["counts"], "started" in found) == ("odd", facts["counts"], False)
        assert pyarrow.parquet.read_schema(file).field("path").type == "binary"


def test_two_jobs_write_the_same_parquet_file(infer, photos):
    for name in ("a", "b"):
        infer("photos", "--out", f"{name}.parquet", "--topk", 2)
    assert Path("a.parquet").read_bytes() == Path("b.parquet").read_bytes()
    assert pyarrow.parquet.read_schema("a.parquet").field("path").type == "string"


def test_columns_are_chosen(infer, refused, photos, tiny_onnx):
    _, facts = infer("photos", "--out", "p.csv", "--columns", "predicted, path")
    assert facts["options"]["columns"] == ["predicted", "path"]
    with open("p.csv", newline="") as lines:
        assert next(csv.reader(lines)) == ["predicted", "path"]
    command = ("infer", "photos", "--model", tiny_onnx, "--out", "q.csv", "--columns")
    refused(2, ["there is no column 'confidense'", "confidence"], *command, "path,confidense")
    refused(2, ["without path"], *command, "predicted")
    assert not Path("q.csv").exists()


def test_formulas_are_noted_and_escaped_on_demand(infer, odd):
    (odd / "red").rename("=red")  # the path of a row begins with its folder
    done, _ = infer("=red", "--out", "p.csv")
    assert "=1+1.png" in done.stderr
    assert "--escape-formulas" in done.stderr
    done, facts = infer("=red", "--out", "q.csv", "--escape-formulas")
    assert "--escape-formulas" not in done.stderr
    assert facts["options"]["escape_formulas"] is True
    with open("q.csv", newline="", errors="surrogateescape") as lines:
        assert "'=1+1.png" in [row["path"] for row in csv.DictReader(lines)]
