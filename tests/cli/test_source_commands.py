"""Archives, lists and URLs from the command line: infer, and what people do with its file; train, show and datasets."""

import csv
import io
import json
import os
import shutil
import sys
from importlib.util import find_spec
from pathlib import Path

import fsspec
import pytest

from tests.images.test_remote import serve

ARCHIVES = {"photos.tar": "tar", "photos.tgz": "gztar", "photos.zip": "zip"}


@pytest.fixture
def infer(cli, tiny_onnx):
    """infer(*arguments): the rows, without an error."""

    def run(*arguments):
        done = cli(
            "infer",
            *arguments,
            "--model",
            tiny_onnx,
            "--device",
            "cpu",
            "--out",
            "preds.csv",
            "--overwrite",
            "--json",
            "f.json",
        )
        assert done.code in (0, 3), done.stderr
        with open("preds.csv", newline="") as file:
            return list(csv.DictReader(file)), done

    return run


@pytest.fixture
def packed(photos):
    """pack(name, inside=""): the folder of photos as an archive."""

    def pack(name, inside=""):
        made = shutil.make_archive("made", ARCHIVES[name], photos.parent if inside else photos, inside or None)
        os.rename(made, name)
        return name

    return pack


@pytest.fixture
def memory(photos):
    """The folder of photos in fsspec's memory, and its URL."""
    files = fsspec.filesystem("memory")
    files.put(str(photos), "/shop/photos", recursive=True)
    yield "memory://shop/photos"
    files.rm("/shop", recursive=True)


@pytest.mark.parametrize("name", ARCHIVES)
def test_an_archive_has_the_rows_of_its_folder_with_labels_and_images_for_reports(cli, infer, packed, photos, name):
    shutil.copy(photos / "val/red/0.png", photos / "val/blue/wrong.png")
    wanted, _ = infer(photos)
    found, done = infer(packed(name))
    assert found == wanted
    assert json.loads(Path("f.json").read_text())["labels"]["source"] == "class folders"
    assert cli("report", "preds.csv", "--images", name).code == 0
    assert Path("preds.html").read_text().count("data:image/jpeg") >= 1
    done = cli("show", "preds.csv", "--pick", "random", "-n", 2)
    assert done.code == 0, done.stderr
    assert cli("show", name, "--model", Path("x.onnx"), "--run", "a").code == 2


def test_the_images_of_shards_are_found_again(cli, infer, packed):
    packed("photos.tar")
    for number in ("00", "01"):
        shutil.copy("photos.tar", f"shard-{number}.tar")
    rows, _ = infer("shard-{00..01}.tar")
    assert rows[0]["path"].startswith("shard-00.tar/")
    done = cli("show", "preds.csv", "--pick", "random", "-n", 3, "--explain-by", "occlusion", "--json", "s.json")
    assert done.code == 0, done.stderr
    assert len(json.loads(Path("s.json").read_text())["explained"]) >= 3


def test_a_url_has_them_too(cli, infer, memory, photos):
    wanted, _ = infer(photos)
    assert infer(memory)[0] == wanted
    assert json.loads(Path("preds.csv.json").read_text())["images"] == memory
    done = cli("show", "preds.csv", "--pick", "random", "-n", 2)
    assert done.code == 0, done.stderr


@pytest.mark.skipif(not find_spec("aiohttp"), reason="fsspec[http] is not installed")
def test_an_image_on_the_web_is_classified_and_its_secrets_are_kept(infer, photos):
    server, url = serve({"/a/red.png": (photos / "val/red/0.png").read_bytes()})
    try:
        (row,), done = infer(f"{url}/a/red.png?token=s3cret")
        (gone,), more = infer(f"{url}/a/gone.png?token=s3cret")
    finally:
        server.shutdown()
        server.server_close()
    assert (row["path"], row["predicted"], row["error"]) == ("red.png", "red", "")
    assert "no such image" in gone["error"]
    everything = done.stdout + done.stderr + more.stderr + gone["error"] + Path("preds.csv.json").read_text()
    assert "s3cret" not in everything + Path("f.json").read_text()


def test_lists_and_standard_input(infer, photos, monkeypatch):
    Path("list.csv").write_text(f"image,n\n{photos}/val/red/0.png,1\nabsent.png,2\n")
    rows, _ = infer("list.csv")
    assert [row["predicted"] for row in rows] == ["red", ""]
    monkeypatch.setattr(sys, "stdin", io.TextIOWrapper(io.BytesIO(f"{photos}/val/blue/0.png\n".encode())))
    ((row,), _) = infer("-")
    assert row["predicted"] == "blue"
    os.rename("list.csv", "odd.csv")
    Path("odd.csv").write_text(Path("odd.csv").read_text().replace("image", "where"))
    assert [row["predicted"] for row in infer("odd.csv", "--with", "list.column=where")[0]] == ["red", ""]


def test_a_table_without_a_column_of_paths_is_refused(refused, tiny_onnx):
    Path("numbers.csv").write_text("a,b\n1,2\n")
    words = ["no column of paths", "a, b", "list.column=NAME"]
    refused(1, words, "infer", "numbers.csv", "--model", tiny_onnx)


def test_part_of_a_source(infer, refused, photos, tiny_onnx):
    rows, _ = infer(photos, "--include", "val", "--exclude", "*.jpg", "--exclude", "red")
    assert [row["path"] for row in rows] == ["val/blue/0.png", "val/green/0.png"]
    refused(
        1,
        ["none of the images matches", "--include *.gif"],
        "infer",
        photos,
        "--include",
        "*.gif",
        "--model",
        tiny_onnx,
    )
    refused(2, ["--include"], "infer", "--dataset", "digits", "--include", "*.gif", "--model", tiny_onnx)


def test_a_cut_archive_is_said_loudly_and_what_it_holds_is_classified(infer, packed):
    name = packed("photos.tar")
    Path(name).write_bytes(Path(name).read_bytes()[:20_000])
    rows, done = infer(name, "-q")
    assert rows
    assert "warning: images may be missing: photos.tar: the archive is cut off after" in done.stderr


@pytest.mark.usefixtures("without_curves")
@pytest.mark.parametrize("name", ["photos.tar", "memory"])
def test_training_reads_archives_and_urls_and_finds_them_again(cli, trained, packed, photos, name, request):
    pytest.importorskip("torch")
    data = request.getfixturevalue("memory") if name == "memory" else packed(name, "photos")
    options = ("--epochs", 1, "--batch-size", 4, "--with", "model.size=16", "--device", "cpu")
    folder, facts = trained(photos, *options), trained(data, *options, "--run", "a")
    assert facts["result"]["val_accuracy"] == folder["result"]["val_accuracy"]
    shown = ("show", "runs/a/val.csv", "--pick", "random", "-n", 2)
    for command in (("export", "a"), ("show", "--run", "a", "-n", 2), ("evaluate", "a"), shown, ("datasets", data)):
        done = cli(*command)
        assert done.code == 0, done.stderr
    assert "blue" in done.stdout
