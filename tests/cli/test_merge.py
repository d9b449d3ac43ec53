"""A job in shards, which together are the whole."""

import csv
import json
import random
import shutil
from pathlib import Path

import pytest

from clsbench import infer, merge
from clsbench.errors import DataError, OptionError
from clsbench.predictions.manifest import manifest_path

NAMES = ["a, b", 'quo"te', "line\nbreak", "=1+1", "'=2", "caf\udce9", "🐝", " space "]
SUFFIXES = ("csv", "jsonl", "parquet")


@pytest.fixture
def images(photos):
    """Labelled images, one of them damaged, of odd names."""
    for folder in (photos / "val").iterdir():
        for name in NAMES:
            shutil.copy(folder / "0.png", folder / f"{name}.png")
    (photos / "val" / "red" / "torn.png").write_bytes((photos / "val" / "red" / "0.png").read_bytes()[:50])
    return photos / "val"


@pytest.fixture
def shards(images, tiny_onnx, tmp_path):
    """shards("csv", 3): the files of so many shards, and of the whole job."""

    def run(suffix, of, **options):
        options = {"model": tiny_onnx, "batch_size": 4, "tune": "off", "device": "cpu", **options}
        files = [tmp_path / f"{k}-{of}.{suffix}" for k in range(1, of + 1)]
        for k, file in enumerate(files, 1):
            infer(images, out=file, shard=f"{k}/{of}", **options)
        infer(images, out=tmp_path / f"whole.{suffix}", **options)
        return files, tmp_path / f"whole.{suffix}"

    return run


@pytest.mark.parametrize("suffix", SUFFIXES)
def test_the_shards_together_are_the_whole_byte_for_byte(shards, tmp_path, suffix):
    escaped = {"escape_formulas": True} if suffix == "csv" else {}
    files, whole = shards(suffix, 3, probabilities=True, topk=2, **escaped)
    random.Random(0).shuffle(files)
    result = merge(files, tmp_path / f"merged.{suffix}")
    assert result.out.read_bytes() == whole.read_bytes()
    told, expected = (json.loads(manifest_path(file).read_text()) for file in (result.out, whole))
    for name in ("counts", "predicted", "metrics", "labels", "model", "images", "pixels"):
        assert told[name] == expected[name], name
    assert {reason: part["count"] for reason, part in told["failures"].items()} == {"truncated": 1}
    assert "shard" not in told


def test_an_image_is_in_one_shard_whatever_else_there_is(images, tiny_onnx):
    def parts():
        found = {}
        for k in (1, 2):
            for name in infer(images, model=tiny_onnx, shard=f"{k}/2").to_arrow().column("path").to_pylist():
                assert name not in found
                found[name] = k
        return found

    before = parts()
    (images / "blue" / "0.png").rename(images / "blue" / "new.png")
    after = parts()
    assert {name: after[name] for name in before if name in after} == {
        name: k for name, k in before.items() if name in after
    }


@pytest.mark.parametrize("suffix", SUFFIXES)
def test_shards_may_be_empty(shards, tmp_path, suffix):
    files, whole = shards(suffix, 90)
    assert merge(files, tmp_path / f"merged.{suffix}").out.read_bytes() == whole.read_bytes()


def drop_a_row(files):
    lines = files[0].read_bytes().splitlines(keepends=True)
    files[0].write_bytes(b"".join(lines[:-1]))


def rename_an_image(files):
    with files[0].open(newline="", encoding="utf-8", errors="surrogateescape") as file:
        rows = list(csv.reader(file))
    rows[1][0] = "blue/other.png"
    with files[0].open("w", newline="", encoding="utf-8", errors="surrogateescape") as file:
        csv.writer(file, lineterminator="\n").writerows(rows)


def swap_two(files):
    files[0].rename("spare.csv")
    files[1].rename(files[0])
    Path("spare.csv").rename(files[1])


def spoil_the_record(files):
    path = manifest_path(files[0])
    values = json.loads(path.read_text())
    values["shard"]["rows"] = values["shard"]["rows"][:-6] + "AAAAAA"
    path.write_text(json.dumps(values))


@pytest.mark.parametrize(
    ("damage", "said"),
    [
        (lambda files: files.pop(), r"a shard is missing(?s:.*)--shard 3/3"),
        (lambda files: files.append(files[0]), "is there twice"),
        (drop_a_row, "has not the rows"),
        (rename_an_image, "not those of the job"),
        (swap_two, "not"),
        (spoil_the_record, "the record of a shard is damaged"),
        (lambda files: manifest_path(files[1]).unlink(), "not the predictions file of a shard"),
        (lambda files: files[1].unlink(), "there is no such predictions file"),
    ],
    ids=["missing", "twice", "row", "name", "swapped", "record", "manifest", "file"],
)
def test_what_is_wrong_is_told_and_nothing_is_written(shards, tmp_path, monkeypatch, damage, said):
    monkeypatch.chdir(tmp_path)
    files, _ = shards("csv", 3)
    damage(files)
    with pytest.raises(DataError, match=said):
        merge(files, tmp_path / "merged.csv")
    assert not list(tmp_path.glob("*merged.csv*"))


def test_shards_of_two_jobs_are_not_mixed(shards, images, tiny_onnx, tmp_path):
    files, _ = shards("csv", 2)
    infer(images, model=tiny_onnx, out=files[1], shard="2/2", topk=2, device="cpu", batch_size=4, overwrite=True)
    with pytest.raises(DataError, match="shards of two jobs: another set of options"):
        merge(files, tmp_path / "merged.csv")
    (images / "blue" / "more.png").write_bytes((images / "blue" / "0.png").read_bytes())
    infer(images, model=tiny_onnx, out=files[1], shard="2/2", device="cpu", batch_size=4, tune="off", overwrite=True)
    with pytest.raises(DataError, match="shards of two jobs: another number of images"):
        merge(files, tmp_path / "merged.csv")


@pytest.mark.parametrize("text", ["0/2", "3/2", "1", "a/b", "1/0", "-1/2", "1/2/3"])
def test_a_part_is_named_as_i_of_n(images, tiny_onnx, text):
    with pytest.raises(OptionError, match="not a part of a job"):
        infer(images, model=tiny_onnx, shard=text)


def test_the_command_line_merges_and_judges(cli, shards, tmp_path):
    files, _ = shards("csv", 2)
    done = cli("merge", *files, "--out", tmp_path / "all.csv", "--json", tmp_path / "all.json")
    assert done.code == 0, done.stderr
    assert "top1" in done.stdout
    assert "31 rows of 2 shards, each once" in done.stderr
    assert json.loads((tmp_path / "all.json").read_text())["shards"] == 2
    assert cli("evaluate", tmp_path / "all.csv").code == 0
    assert cli("merge", *files, "--out", tmp_path / "all.csv").code == 1
    assert cli("merge", *files, "--out", files[0], "--overwrite").code == 1


def test_without_a_name_for_the_whole_the_command_is_told(refused):
    refused(
        2,
        ["where to write the whole", "`clsbench merge a.csv 'b 2.csv' --out merged.csv`"],
        "merge",
        "a.csv",
        "b 2.csv",
    )
