import json
from pathlib import Path

import pytest

from clsbench.api.infer_sorting import Sorting
from clsbench.api.observer import Observer
from clsbench.images.sources.folder import FolderSource


@pytest.fixture
def infer(cli, tiny_onnx, paint):
    paint("photos/{colour}-{k}.png", 2)
    Path("photos/broken.png").write_text("no image")

    def run(*arguments):
        return cli("infer", "photos", "--model", tiny_onnx, "--json", "facts.json", *arguments)

    return run


def names(folder):
    return sorted(file.relative_to(folder).as_posix() for file in Path(folder).rglob("*") if not file.is_dir())


SORTED = [f"{colour}/{colour}-{k}.png" for colour in ("blue", "green", "red") for k in range(2)]


@pytest.mark.parametrize(("mode", "word"), [("move", "moved"), ("copy", "copied"), ("link", "linked")])
def test_images_are_sorted_by_what_they_are(infer, mode, word):
    done = infer(f"--{mode}", "into", "--out", "p.csv")
    assert done.code == 0, done.stderr
    assert f"{word}: 6 images into into (blue 2, green 2, red 2)" in done.stderr
    assert "not sorted, for want of a class: 1 image" in done.stderr
    assert names("into") == SORTED
    assert len(names("photos")) == (1 if mode == "move" else 7)
    facts = json.loads(Path("facts.json").read_text())["sorted"]
    assert (facts["mode"], facts["classes"], facts["unclassified"]) == (mode, {"red": 2, "green": 2, "blue": 2}, 1)
    assert ("next: clsbench show" in done.stderr) == (mode != "move")
    assert "sorted" not in json.loads(Path("p.csv.json").read_text())


def test_a_second_time_says_what_was_there(infer):
    infer("--copy", "into")
    done = infer("--copy", "into")
    assert done.code == 0
    assert "nothing is overwritten: 6 images not copied: blue-0.png (into/blue/blue-0.png is there)" in done.stderr


def test_a_finished_job_is_sorted_by_its_file(infer):
    assert infer("--out", "p.parquet").code == 0
    source = FolderSource("photos")
    sorting = Sorting("copy", Path("into"))
    sorting.read(Path("p.parquet"), ("blue", "red", "green"))
    found = sorting.finish(source, ("blue", "red", "green"), Observer())
    assert (found.classes, found.unclassified) == ({"blue": 2, "green": 2, "red": 2}, 1)
    assert names("into") == SORTED


def test_what_makes_no_sense_is_refused_before_the_work(refused, infer, tiny_onnx):
    command = ("infer", "photos", "--model", tiny_onnx, "--out", "p.csv")
    refused(2, ["sorted in one way", "--move and --link"], *command, "--move", "a", "--link", "b")
    refused(2, ["among the images of the next job"], *command, "--copy", "photos/sorted")
    Path("file").touch()
    refused(1, ["the sorted images cannot be written"], *command, "--copy", "file")
    refused(2, ["only images that are files"], "infer", "--dataset", "digits", "--model", tiny_onnx,
            "--unknown-labels", "ignore", "--move", "into")  # fmt: skip
    assert not Path("p.csv").exists()
    assert not Path("into").exists()


def test_single_images_of_the_current_folder(cli, infer, tiny_onnx):
    done = cli("infer", "photos/red-0.png", "photos/blue-1.png", "--model", tiny_onnx, "--link", "into")
    assert done.code == 0, done.stderr
    assert names("into") == ["blue/blue-1.png", "red/red-0.png"]
