"""``clsbench infer``: what it prints of few images and of many, what it takes, and where it writes."""

import csv
import io
import json
import os
import shlex
import subprocess
import sys
from pathlib import Path

import pytest

import clsbench
from clsbench.errors import DataError, OptionError
from tests.conftest import COLOURS, picture


@pytest.fixture
def infer(cli, tiny_onnx):
    """infer(*arguments): on the CPU with the tiny model, which names colours."""
    return lambda *arguments: cli("infer", *arguments, "--model", tiny_onnx, "--device", "cpu")


@pytest.fixture
def many(paint):
    """30 images in class folders."""
    return paint("many/{colour}/{k}.png", 10)


@pytest.fixture
def flat(paint):
    """30 images in one folder, named by their colours."""
    return paint("flat/{colour}_{k}.png", 10)


def rows(text):
    return list(csv.DictReader(io.StringIO(text)))


def next_line(done):
    """The words of the command that is named as the next one."""
    (line,) = [line for line in done.stderr.splitlines() if line.startswith("next: ")]
    return shlex.split(line.removeprefix("next: "), comments=True)


def test_one_image_is_named_with_its_class_its_confidence_and_the_next_best(infer, photos):
    done = infer(photos / "val/red/0.png", "--json", "facts.json")
    assert done.code == 0, done.stderr
    (said,) = json.loads(Path("facts.json").read_text())["predictions"]
    assert (said["path"], said["predicted"], said["error"]) == ("0.png", "red", None)
    assert said["topk"][0]["label"] == "red"
    assert said["topk"][0]["probability"] == said["confidence"]
    row = next(line for line in done.stdout.splitlines() if "0.png" in line)
    assert row.split()[:4] == ["0.png", "red", f"{said['confidence']:.2%}", said["topk"][1]["label"]]
    assert "Throughput" not in done.stdout
    assert "lock" not in done.stdout
    assert "nothing was saved: add --out" in done.stderr


def test_a_few_images_have_a_row_each_with_label_and_reason(infer, photos):
    (photos / "val/red/cut.png").write_text("no image")
    done = infer(photos / "val", "--json", "facts.json")
    said = json.loads(Path("facts.json").read_text())["predictions"]
    assert [one["path"] for one in said if one["error"]] == ["red/cut.png"]
    assert [one["label"] for one in said] == [one["path"].split("/")[0] for one in said]
    assert "not classified: not an image" in done.stdout
    assert "6 of 7 correct" in done.stdout


def test_of_many_images_there_are_the_numbers_of_each_class(infer, many):
    done = infer(many, "--json", "facts.json")
    facts = json.loads(Path("facts.json").read_text())
    assert facts["predicted"] == dict.fromkeys(["red", "green", "blue"], 10)
    assert "predictions" not in facts
    for colour in COLOURS:
        assert f"{colour} 10 33.33%" in " ".join(done.stdout.split())
    assert "Throughput" in done.stdout
    assert "nothing was saved: add --out" in done.stderr


def test_predict_is_the_same_command(cli, photos, tiny_onnx):
    done = cli("predict", photos / "val/red/0.png", "--model", tiny_onnx, "--device", "cpu")
    assert (done.code, "red" in done.stdout) == (0, True)
    assert "predict" in cli("infer", "--help").stdout
    assert "\n  predict " not in cli("--help").stdout


@pytest.mark.parametrize("format", ["csv", "jsonl"])
def test_predictions_are_streamed_to_stdout_and_the_rest_to_stderr(infer, many, format):
    assert infer(many, "--out", f"p.{format}").code == 0
    done = infer(many, "--out", "-", "--format", format)
    assert (done.code, done.stdout) == (0, Path(f"p.{format}").read_text())
    assert "Predicted classes" in done.stderr
    assert not Path("-").exists()
    assert not Path("-.json").exists()


def test_python_writes_to_a_stream_and_leaves_it_open(cli, many, tiny_onnx):
    stream = io.BytesIO()
    result = clsbench.infer(many, model=tiny_onnx, device="cpu", out=stream)
    assert len(rows(stream.getvalue().decode())) == 30
    assert result.out is None
    with pytest.raises(OptionError, match="unknown format"):
        clsbench.infer(many, model=tiny_onnx, device="cpu", out=stream, format="parquet")


def test_stdout_cannot_hold_two_results(refused, many, tiny_onnx):
    refused(2, ["--out - --json -"], "infer", many, "--model", tiny_onnx, "--out", "-", "--json", "-")
    refused(2, ["--format", "add --out"], "infer", many, "--model", tiny_onnx, "--format", "csv")


def test_a_reader_that_leaves_ends_the_job_quietly(many, tiny_onnx, tmp_path):
    code = "from clsbench.cli.main import run; run()"
    command = [sys.executable, "-c", code, "infer", many, "--model", tiny_onnx, "--device", "cpu", "-q", "--out", "-"]
    job = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, cwd=tmp_path, text=True)
    job.stdout.close()
    _, messages = job.communicate(timeout=60)
    assert (job.returncode, messages) == (141, "")


def test_several_files_folders_and_patterns_are_one_job_with_names_as_given(infer, photos):
    picture("red").save("0.png")
    given = ["./0.png", "photos/val/red/0.png", "photos/val/gr*/*", "photos/val/blue/"]
    assert infer(*given, "--out", "p.csv").code == 0
    found = {row["path"]: row["predicted"] for row in rows(Path("p.csv").read_text())}
    assert found == {
        "0.png": "red",
        "photos/val/red/0.png": "red",
        **{f"photos/val/{colour}/{name}": colour for colour in ("green", "blue") for name in ("0.png", "1.jpg")},
    }
    assert all(Path(name).is_file() for name in found)
    assert json.loads(Path("p.csv.json").read_text())["images"] == "."


def test_a_pattern_alone_is_expanded_here_and_in_python(infer, photos, tiny_onnx):
    assert infer("photos/val/*/*.jpg", "--out", "p.csv").code == 0
    names = sorted(f"photos/val/{colour}/1.jpg" for colour in COLOURS)
    assert [row["path"] for row in rows(Path("p.csv").read_text())] == names
    table = clsbench.infer([Path("photos/val/red/0.png"), "photos/val/*/*.jpg"], model=tiny_onnx).to_arrow()
    assert table.column("path").to_pylist() == ["photos/val/red/0.png", *names]


def test_what_cannot_be_images_among_several_is_left_out_and_told(infer, photos):
    Path("notes.txt").write_text("hello")
    done = infer("notes.txt", "photos/val/red/0.png")
    assert done.code == 0
    assert "left out: 1 .txt" in done.stderr


@pytest.mark.parametrize(
    ("pattern", "more"), [("nothing/*.png", ""), ("photos/*.gif", ""), ("photos[1]/*.png", "is written [[]")]
)
def test_a_pattern_that_matches_nothing_is_an_error(refused, photos, tiny_onnx, pattern, more):
    refused(1, ["no file matches", pattern, more], "infer", pattern, "--model", tiny_onnx)


@pytest.mark.parametrize(
    ("name", "content", "words"),
    [
        ("photos.7z", b"7z\xbc\xaf\x27\x1c", ["a 7-Zip archive", "unpack it"]),
        ("table.xlsx", b"PK\x03\x04....", ["a ZIP archive or a spreadsheet"]),
        ("page.pdf", b"%PDF-1.7", ["a PDF document"]),
        ("clip.mp4", b"\x00\x00\x00\x18ftypmp42", ["a video"]),
        ("net.pt", b"...", ["a model file", "--model"]),
    ],
)
def test_a_file_of_another_kind_is_no_broken_image(refused, tiny_onnx, name, content, words):
    Path(name).write_bytes(content)
    refused(1, [*words, "not an image", "a folder of images"], "infer", name, "--model", tiny_onnx)


def test_an_image_with_the_suffix_of_an_archive_is_one(infer):
    picture("red").save("image.png")
    os.rename("image.png", "image.zip")
    done = infer("image.zip")
    assert (done.code, "red" in done.stdout) == (0, True)


def test_names_that_look_like_labels_are_told_before_the_work(infer, cli, flat, tiny_onnx):
    done = infer(flat)
    before, _, after = done.stderr.partition("nothing was saved")
    assert "no accuracy: the file names look like labels" in before
    assert after
    command = next(line for line in before.splitlines() if "--dataset regex" in line).partition("names: clsbench ")[2]
    again = cli(*shlex.split(command), "--model", tiny_onnx, "--device", "cpu", "--out", "p.csv")
    assert again.code == 0, again.stderr
    assert "30 of 30" in again.stdout
    assert {row["label"] for row in rows(Path("p.csv").read_text())} == set(COLOURS)


def test_other_forms_of_names_come_with_the_pattern_that_reads_them(infer, cli, paint, tiny_onnx):
    folder = paint("other/{colour}.{k}.png", 3)
    command = infer(folder).stderr.partition("names: clsbench ")[2].splitlines()[0]
    assert "data.pattern=" in command
    done = cli(*shlex.split(command), "--model", tiny_onnx, "--device", "cpu")
    assert "9 of 9 correct" in done.stdout, done.stderr


def test_labels_from_a_table_as_train_takes_them(infer, flat):
    splits = enumerate(("train", "val"))
    lines = [f"flat/{colour}_{k}.png,{colour},{split}" for k, split in splits for colour in COLOURS]
    Path("table.csv").write_text("\n".join(["path,label,split", *lines]))
    assert infer("table.csv", "--dataset", "csv", "--out", "p.csv").code == 0
    assert [row["correct"] for row in rows(Path("p.csv").read_text())] == ["true"] * 6
    assert infer("table.csv", "--dataset", "csv", "--split", "val", "--out", "p.csv", "--overwrite").code == 0
    assert [row["path"] for row in rows(Path("p.csv").read_text())] == [f"flat/{colour}_1.png" for colour in COLOURS]
    assert json.loads(Path("p.csv.json").read_text())["options"]["split"] == "val"


def test_a_dataset_of_other_classes_is_refused_by_name(infer, paint):
    paint("flat/rde_{k}.png", 2, colours=("red",))
    paint("flat/{colour}_{k}.png", 2)
    done = infer("flat", "--dataset", "regex")
    assert done.code == 1
    assert "did you mean 'red'?" in done.stderr
    assert infer("flat", "--dataset", "regex", "--unknown-labels", "ignore").code == 0


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        ([], ["no images were named"]),
        (["many", "--split", "val"], ["--split is for a dataset"]),
        (["many", "--dataset", "folder", "--labels", "x.csv"], ["labels of its own"]),
        (["many", "flat", "--dataset", "regex"], ["one folder or file"]),
        (["many", "--dataset", "regexp"], ["unknown dataset 'regexp'"]),
    ],
)
def test_what_contradicts_itself_is_wrong_usage(refused, many, flat, tiny_onnx, arguments, words):
    refused(2, words, "infer", *arguments, "--model", tiny_onnx)


def test_the_next_command_is_one_that_can_be_typed(infer, cli, many, tmp_path):
    folder = tmp_path / "my photos"
    many.rename(folder)
    assert next_line(infer(folder, "--out", "my preds.csv")) == ["clsbench", "evaluate", "my preds.csv"]
    _, *words = next_line(infer("my photos/red", "--out", "unlabelled.csv"))
    assert words == ["show", "unlabelled.csv", "--pick", "random"]
    assert cli(*words).code == 0


def test_a_dataset_object_is_taken_in_python(many, tiny_onnx, cli):
    from clsbench.datasets.folder import build

    result = clsbench.infer(dataset=build(many), model=tiny_onnx, device="cpu")
    assert (result.counts.labelled, result.labels.source) == (30, "the dataset")
    with pytest.raises(DataError, match="no val images"):
        clsbench.infer(dataset=build(many), split="val", model=tiny_onnx, device="cpu")


def test_a_path_is_shortened_to_what_the_other_columns_leave(infer, paint, monkeypatch):
    monkeypatch.setenv("COLUMNS", "80")
    folder = paint("a folder with a rather long name/{colour}/photo_180_{k}.png", 1)
    done = infer(*sorted(folder.glob("*/*.png")))
    names = [f"photo_180_0.png   {colour}" for colour in COLOURS]
    assert [name for name in names if name not in done.stdout] == []
    assert max(map(len, done.stdout.splitlines())) <= 80


def test_a_long_reason_is_folded_but_no_name_of_an_image(infer, photos, monkeypatch):
    monkeypatch.setenv("COLUMNS", "80")
    (photos / "val/red/1032546534_06907fe3b3.png").write_bytes((photos / "val/red/0.png").read_bytes()[:60])
    done = infer(photos / "val/red")
    assert "1032546534_06907fe3b3.png " in done.stdout
    assert max(map(len, done.stdout.splitlines())) <= 80


def test_the_next_command_needs_no_column_that_was_not_written(infer, cli, many):
    _, *words = next_line(infer(many, "--out", "few.csv", "--columns", "path,predicted"))
    assert words == ["show", "few.csv", "--pick", "random"]
    assert cli(*words).code == 0
    assert "next:" not in infer(many, "--out", "fewer.csv", "--columns", "path,confidence").stderr


def test_a_shard_says_how_the_parts_are_joined(infer, many):
    done = infer(many, "--shard", "1/2", "--out", "part1.csv")
    assert "next:" not in done.stderr
    assert "when all 2 shards are there: clsbench merge SHARDS... --out preds.csv" in done.stderr
