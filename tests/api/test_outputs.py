import os
import re
from pathlib import Path

import pytest
from PIL import Image

from clsbench.api.observer import Observer
from clsbench.api.outputs import Outputs
from clsbench.errors import DataError
from clsbench.images.entries import FileEntry


@pytest.fixture(autouse=True)
def here(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    Path("input").write_text("read")
    return tmp_path


@pytest.fixture(params=["path", "absolute", "link", "hard link", "through a folder"])
def alias(request, here):
    """Another name of the file ``input``."""
    match request.param:
        case "path":
            return Path("./input")
        case "absolute":
            return here / "input"
        case "link":
            Path("alias").symlink_to("input")
            return Path("alias")
        case "hard link":
            Path("alias").hardlink_to("input")
            return Path("alias")
    Path("folder").symlink_to(".")
    return Path("folder/input")


@pytest.mark.parametrize("order", [1, -1])
def test_an_input_is_never_an_output_whatever_it_is_called(alias, order):
    outputs = Outputs()
    steps = [lambda: outputs.refuse(None, "input"), lambda: outputs.add(alias, "--out", "the page")][::order]
    steps[0]()
    with pytest.raises(DataError, match=f"(?s)would overwrite an input.*--out.*{re.escape(str(alias))}"):
        steps[1]()


def test_two_outputs_are_never_one_file(alias):
    observer = Observer()
    observer.outputs = [("--json", Path("input"))]
    with pytest.raises(DataError, match=r"(?s)would be one file.*--json and --out"):
        Outputs(observer).add(alias, "--out", "the page")


def test_two_outputs_that_are_not_there_yet():
    Path("link").symlink_to("new")
    outputs = Outputs()
    outputs.add(Path("new"), "--out", "the page")
    outputs.add(Path("other"), "--json", "the JSON")
    with pytest.raises(DataError, match="would be one file"):
        outputs.add(Path("link"), "--html", "the page")


def test_everything_may_go_to_a_device():
    outputs = Outputs()
    outputs.refuse("/dev/null", ".", "nothing")
    outputs.add(Path("/dev/null"), "--out", "the page")
    outputs.add(Path("/dev/null"), "--json", "the JSON")


def test_an_image_is_never_replaced_by_something_else():
    Image.new("RGB", (2, 2)).save("photo.dat", "PNG")
    with pytest.raises(DataError, match=r"(?s)would overwrite an image.*photo\.dat"):
        Outputs().add(Path("photo.dat"), "--json", "the JSON")


def paint(*names):
    for name in names:
        Path(name).parent.mkdir(exist_ok=True)
        Image.new("RGB", (2, 2)).save(name)
    return [FileEntry(name, name) for name in names]


def test_a_drawing_replaces_another_one_and_no_image_that_is_read(here):
    entries = paint("photos/a.png", "photos/b.png")
    paint("grid.png")
    Path("photos/linked.png").hardlink_to("photos/b.png")
    for name, words in {
        "photos/a.png": "would overwrite an input",
        "photos/linked.png": r"(?s)would overwrite an input.*linked\.png, which is photos/b\.png",
        "photos/new.png": r"(?s)one of the images the next time.*outside of photos",
        "grid.png": None,
        "photos/sub/new.png": None,
    }.items():
        outputs = Outputs()
        outputs.add(Path(name), "--out", "the grid", ".png")
        if words is None:
            outputs.refuse_images(entries, "photos")
        else:
            with pytest.raises(DataError, match=words):
                outputs.refuse_images(entries, "photos")


def test_an_entry_that_is_no_image_is_safe_as_well():
    outputs = Outputs()
    outputs.add(Path("input"), "--json", "the JSON")
    with pytest.raises(DataError, match="would overwrite an input"):
        outputs.refuse_images([FileEntry("x", os.path.abspath("input"))])


def test_plots_are_outputs_too():
    paint("plots/confusion.png")
    outputs = Outputs()
    outputs.add_folder(Path("plots"), "--plots", "the plots", ["confusion.png"])
    with pytest.raises(DataError, match="would overwrite an input"):
        outputs.refuse_images(paint("plots/confusion.png"))
    with pytest.raises(DataError, match="input is a file"):
        Outputs().add_folder(Path("input"), "--plots", "the plots", [])
