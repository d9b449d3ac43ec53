"""Files of the wrong kind, wherever a command takes one: one clear message each, and nothing overwritten."""

import os
from pathlib import Path

import pytest

CSV = "path,label,predicted,confidence\na.png,red,red,0.9\nb.png,red,blue,0.8\n"


@pytest.fixture
def files(cli, photos, tiny_onnx):
    """Files of every kind in the current folder, by name."""
    contents = {
        "preds.csv": CSV.encode(),
        "bom.csv": b"\xef\xbb\xbf" + CSV.encode(),
        "utf16.csv": CSV.encode("utf-16"),
        "semicolons.csv": CSV.replace(",", ";").encode(),
        "empty.csv": b"",
        "image.csv": (photos / "val" / "red" / "0.png").read_bytes(),
        "model.csv": tiny_onnx.read_bytes(),
        "image.jsonl": (photos / "val" / "red" / "0.png").read_bytes(),
        "words.jsonl": b'{"path": "a.png", "predicted": "red"}\nhello\n',
        "text.parquet": b"hello, this is text",
        "labels.csv": b"path,label\nred/0.png,red\n",
    }
    for name, content in contents.items():
        Path(name).write_bytes(content)
    Path("folder.csv").mkdir()
    return sorted(contents)


SILLY = {
    "utf16.csv": ["not text in UTF-8", "UTF-16", "iconv"],
    "semicolons.csv": ["separated by ';'"],
    "empty.csv": ["empty"],
    "image.csv": ["not text in UTF-8", "a PNG image"],
    "model.csv": ["not text in UTF-8", "binary data"],
    "image.jsonl": ["not text in UTF-8", "a PNG image"],
    "text.parquet": ["cannot be read", "not a parquet file"],
    "folder.csv": ["folder"],
    "nowhere.csv": ["No such file"],
}


@pytest.mark.parametrize("command", [("evaluate",), ("report",), ("compare", "preds.csv")], ids=lambda words: words[0])
@pytest.mark.parametrize("file", SILLY)
def test_a_predictions_file_that_is_none(refused, files, command, file):
    refused(1, [file, *SILLY[file]], *command, file)


@pytest.mark.parametrize("file", [file for file in SILLY if file.endswith(".csv")])
def test_a_labels_file_that_is_none(refused, files, photos, tiny_onnx, file):
    for command in (("evaluate", "preds.csv"), ("infer", photos / "val", "--model", tiny_onnx, "--device", "cpu")):
        refused(1, ["the labels file", file, *SILLY[file]], *command, "--labels", file)


@pytest.mark.parametrize("file", [file for file in SILLY if file.endswith(".csv") and file != "folder.csv"])
def test_a_table_of_images_that_is_none(refused, files, file):
    words = {"nowhere.csv": ["no such file"]}.get(file, [file, *SILLY[file]])
    refused(1, words, "datasets", "csv", file)


def test_a_line_that_is_no_json_is_named(refused, files):
    Path("words.jsonl").write_text("hello\n")
    refused(1, ["words.jsonl:1", "not a JSON object", "hello"], "evaluate", "words.jsonl")


def test_a_byte_order_mark_is_no_part_of_a_name(cli, files):
    assert cli("evaluate", "bom.csv").code == 0


@pytest.mark.parametrize("command", [("train", "preds.txt"), ("datasets", "folder", "preds.txt")])
def test_a_file_where_a_folder_is_expected(refused, cli, command):
    Path("preds.txt").touch()
    refused(1, ["this is a file, not a folder", "preds.txt"], *command)


def test_runs_of_a_file(refused, files):
    refused(1, ["this is a file, not a folder of runs"], "runs", "preds.csv")


@pytest.mark.parametrize(
    "arguments",
    [
        ("evaluate", "preds.csv", "--json", "preds.csv"),
        ("evaluate", "preds.csv", "--json=./preds.csv"),
        ("evaluate", "preds.csv", "--labels=labels.csv", "--json", "labels.csv"),
        ("evaluate", "preds.csv", "--html", "page.html", "--json", "page.html"),
        ("report", "preds.csv", "--out", "preds.csv"),
        ("infer", "photos/val", "--labels", "labels.csv", "--out", "labels.csv"),
        ("infer", "photos/val", "--labels", "labels.csv", "--out", "link.csv"),
    ],
    ids=" ".join,
)
def test_no_output_destroys_an_input(cli, files, tiny_onnx, arguments):
    os.symlink("labels.csv", "link.csv")
    before = {name: Path(name).read_bytes() for name in files}
    done = cli(*arguments, *(["--model", tiny_onnx] if arguments[0] == "infer" else []))
    assert done.code in (1, 2), done.stderr
    assert {name: Path(name).read_bytes() for name in files} == before
    assert not Path("page.html").exists()
