"""``clsbench show``: counts as text, images as PNG."""

import json
import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

pytestmark = pytest.mark.usefixtures("without_curves")

SMALL = ("-n", 1, "--size", 16)

WITHOUT_TORCH = """
import sys
sys.modules["torch"] = sys.modules["torchvision"] = None
from clsbench.cli.main import execute
sys.exit(execute(sys.argv[1:]))
"""


@pytest.fixture
def photos(paint):
    """Six blue, six green and six red images for train, and two of each for val."""
    paint("photos/val/{colour}/{k}.png", 2, first=100)
    return paint("photos/train/{colour}/{k}.png", 6)


@pytest.fixture
def facts(cli):
    """facts(folder, …): what --json says, after checking that all went well."""

    def show(*arguments):
        done = cli("show", *arguments, "--json", "show.json")
        assert done.code == 0, done.stderr
        return json.loads(Path("show.json").read_text(encoding="utf-8"))

    return show


def pixels(file):
    with Image.open(file) as picture:
        assert picture.format == "PNG"
        return np.asarray(picture.convert("RGB")).astype(int)


def reddish(image):
    return int((image[..., 0] - image[..., 1:].max(axis=2) > 100).sum())


def test_counts_are_text_and_pictures_a_png(cli, photos):
    done = cli("show", photos, *SMALL)
    assert done.code == 0, done.stderr
    rows = [line.split() for line in done.stdout.splitlines()]
    assert ["class", "train", "val"] in rows
    assert ["blue", "6", "2"] in rows
    assert ["all", "18", "6"] in rows
    assert "drawn: 1 image of train in images.png" in done.stdout
    height, width, _ = pixels("images.png").shape
    assert width > 2 * height, "one row: the image, as validation sees it, and four times as training does"


def test_json_holds_the_counts_and_what_was_drawn(facts, photos):
    shown = facts(photos, "-n", 3, "--size", 16, "--out", "new/folder/grid.png")
    assert shown["classes"] == ["blue", "green", "red"]
    assert shown["counts"]["red"] == {"train": 6, "val": 2}
    assert {name.split("/")[1] for name in shown["drawn"]} == {"blue", "green", "red"}, "one of each class"
    assert shown["file"] == "new/folder/grid.png"
    assert pixels("new/folder/grid.png").any()


def test_the_drawn_pictures_are_chosen_by_the_seed(facts, photos):
    drawn = [facts(photos, "-n", 4, "--size", 16, "--augment", "none", "--seed", s)["drawn"] for s in (0, 0, 1)]
    assert drawn[0] == drawn[1] != drawn[2]


def test_a_row_for_each_picture_and_two_columns_without_augmentation(facts, photos):
    shown = facts(photos, "--split", "val", "-n", 99, "--size", 16, "--augment", "none")
    assert sorted(shown["drawn"]) == sorted(f"val/{c}/{k}.png" for c in ("blue", "green", "red") for k in (100, 101))
    height, width, _ = pixels("images.png").shape
    assert height > 2 * width


@pytest.mark.parametrize("augment", ["basic", "rand", "trivial"])
def test_augmented_pictures_stand_beside_the_plain_ones(facts, photos, augment):
    facts(photos, *SMALL, "--augment", augment)
    wide = pixels("images.png").shape[1]
    facts(photos, *SMALL, "--augment", "none")
    assert wide > 2 * pixels("images.png").shape[1]


def test_the_digits_are_shown_if_nothing_is_named(cli):
    done = cli("show", *SMALL, "--augment", "none")
    assert done.code == 0, done.stderr
    assert ["all", "1,151", "287", "359"] in [line.split() for line in done.stdout.splitlines()]


def test_an_unreadable_picture_is_a_red_tile_with_the_reason(cli, paint):
    folder = paint("photos/{colour}/{k}.png", 2, colours=("blue", "green"))
    arguments = ("show", folder, "--split", "val", "--augment", "none", "--size", 16)
    assert cli(*arguments).code == 0
    assert not reddish(pixels("images.png"))
    for file in folder.rglob("*.png"):
        file.write_bytes(b"no image")
    done = cli(*arguments)
    assert done.code == 0, done.stderr
    assert reddish(pixels("images.png")) > 50


@pytest.mark.parametrize("name", ["$x^", "a$b$c", "<b>bold<", "[red]", "two\nlines", "100%", "蜜蜂"])
def test_strange_class_names_are_shown_as_they_are(facts, cli, paint, name):
    paint(f"odd/{name}/{{k}}.png", 3, colours=("red",))
    folder = paint("odd/blue/{k}.png", 3, colours=("blue",))
    shown = facts(folder, "-n", 2, "--size", 16, "--augment", "none")
    assert name in shown["classes"]
    done = cli("show", folder, *SMALL, "--augment", "none")
    assert not name.isprintable() or name in done.stdout


def test_a_class_name_cannot_steer_the_terminal(cli, paint):
    paint("odd/\x1b[31m/{k}.png", 2, colours=("red",))
    folder = paint("odd/blue/{k}.png", 2, colours=("blue",))
    done = cli("show", folder, *SMALL, "--augment", "none")
    assert done.code == 0, done.stderr
    assert "\x1b" not in done.stdout + done.stderr


def test_a_class_name_that_is_no_text_is_refused_before_anything_is_made_of_it(cli, paint):
    """A folder of bytes that are no UTF-8, as an old disk may have."""
    paint("odd/caf\udce9/{k}.png", 2, colours=("red",))
    folder = paint("odd/blue/{k}.png", 2, colours=("blue",))
    done = cli("show", folder, *SMALL, "--augment", "none")
    assert (done.code, done.stderr.splitlines()[:3]) == (
        1, ["error: class names must be text in UTF-8", f"  where: {folder}", "  got: 'caf\\udce9'"]
    )  # fmt: skip


def test_a_run_is_shown_with_its_own_split_pictures_and_augmentation(facts, trained, photos, paint):
    tiny = ("--with", "model.size=8", "--with", "model.width=8", "--epochs", 1, "--augment", "none")
    trained(photos, *tiny, "--run", "mine")
    paint("photos/val/{colour}/{k}.png", 1, first=200)
    shown = facts("--run", "mine", "-n", 99, "--split", "val")
    assert sorted(shown["drawn"]) == sorted(f"val/{c}/{k}.png" for c in ("blue", "green", "red") for k in (100, 101))
    assert shown["counts"]["blue"] == {"train": 7, "val": 2}
    height, width, _ = pixels("images.png").shape
    assert height > 2 * width, "no augmentation: two columns"


@pytest.mark.parametrize("command", ["show", "datasets"])
def test_options_that_a_run_has_settled_are_refused(cli, trained, photos, command):
    trained(photos, "--with", "model.size=8", "--epochs", 1, "--run", "mine")
    for option in (["--val-fraction", 0.5], ["--folds", 3, "--fold", 1], ["--with", "data.seed=3"]):
        done = cli(command, "--run", "mine", *option)
        assert done.code == 2, f"{option} had no effect"
        assert option[0] in done.stderr


@pytest.mark.parametrize(
    ("code", "arguments", "words"),
    [
        (2, ["photos", "--run", "mine"], ["DATA or --run", "photos"]),
        (2, ["photos", "--split", "all"], ["--split", "train"]),
        (2, ["photos", "-n", "0"], ["-n"]),
        (2, ["photos", "--size", "0"], ["--size"]),
        (2, ["photos", "--augment", "wild"], ["--augment", "basic"]),
        (1, ["photos", "--split", "test"], ["no test images", "train, val"]),
        (1, ["--run", "nobody"], ["no run 'nobody'"]),
        (1, ["nowhere"], ["no such folder", "nowhere"]),
        (1, ["photos", "--size", "8", "--out", "taken.png"], ["taken.png"]),
        (1, ["photos", "--size", "8", "--out", "file/grid.png"], ["file"]),
    ],
    ids=lambda value: " ".join(value) if isinstance(value, list) else "",
)
def test_bad_input(cli, photos, code, arguments, words):
    Path("taken.png").mkdir()
    Path("file").touch()
    done = cli("show", *arguments)
    assert "fault of clsbench" not in done.stderr, done.stderr
    assert not [word for word in words if word not in done.stderr], done.stderr
    assert done.code == code


def test_without_torch_the_grid_is_drawn_unaugmented(photos, tmp_path):
    command = [sys.executable, "-c", WITHOUT_TORCH, "show", str(photos), *map(str, SMALL)]
    environment = {**os.environ, "COLUMNS": "80"}
    done = subprocess.run(command, cwd=tmp_path, env=environment, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    assert ["all", "18", "6"] in [line.split() for line in done.stdout.splitlines()]
    height, width, _ = pixels(tmp_path / "images.png").shape
    assert width < 2 * height


def test_the_counts_of_many_classes_are_one_line(cli, tmp_path):
    for name in range(21):
        (tmp_path / f"many/c{name}").mkdir(parents=True)
        for k in range(2):
            Image.new("RGB", (8, 8), (10 * name, k, 0)).save(tmp_path / f"many/c{name}/{k}.png")
    done = cli("show", "many", "-n", 1, "--plain")
    assert done.stdout.splitlines()[0] == "folder: 21 classes, 21 train, 21 val"


def test_plain_images_have_no_shape_of_a_network(cli, photos):
    done = cli("show", photos, "--plain", "--resize", "letterbox", "--out", "plain.png")
    assert done.code == 2
    assert "drawn as they are" in done.stderr
