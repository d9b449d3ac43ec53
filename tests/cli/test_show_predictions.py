"""``clsbench show PREDS``: images with what was predicted of them."""

import json
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

#: path -> label, predicted, and the probability of the label.
ROWS = {
    "0.png": ("ant", "ant", 0.9),
    "1.png": ("ant", "bee", 0.2),
    "2.png": ("bee", "ant", 0.05),
    "3.png": ("bee", "bee", 0.6),
    "4.png": ("", "ant", None),
    "5.png": ("ant", "", None),
}


def write(rows=ROWS, file="preds.csv"):
    lines = ["path,label,predicted,p:ant,p:bee"]
    for path, (label, predicted, sure) in rows.items():
        ant = 0.8 if sure is None else sure if label == "ant" else 1 - sure
        lines.append(f"{path},{label},{predicted}," + (f"{ant:.2f},{1 - ant:.2f}" if predicted else ","))
    Path(file).write_text("\n".join(lines) + "\n", encoding="utf-8")


@pytest.fixture
def blues(cli, paint):
    """A folder with a blue image for each row."""
    write()
    return paint("blues/{k}.png", len(ROWS), colours=("blue",))


@pytest.fixture
def drawn(cli):
    """drawn(…): the names that --json lists, after checking that all went well."""

    def show(*arguments):
        done = cli("show", "preds.csv", *arguments, "--json", "show.json")
        assert done.code == 0, done.stderr
        return json.loads(Path("show.json").read_text(encoding="utf-8"))["drawn"]

    return show


def blue_pixels():
    with Image.open("images.png") as picture:
        assert picture.format == "PNG"
        image = np.asarray(picture.convert("RGB")).astype(int)
    return int((image[..., 2] - image[..., :2].max(axis=2) > 100).sum())


@pytest.mark.parametrize(
    ("pick", "names"),
    [
        ("wrong", {"1.png", "2.png"}),
        ("random", set(ROWS)),
        ("class:ant", {"0.png", "1.png", "5.png"}),
        ("class:bee", {"2.png", "3.png"}),
    ],
)
def test_a_pick_draws_what_it_says(drawn, blues, pick, names):
    assert set(drawn("--images", blues, "--pick", pick)) == names
    assert blue_pixels() > 5000 * len(names)


def test_the_wrong_ones_are_drawn_if_nothing_is_said(drawn, blues):
    assert set(drawn("--images", blues)) == {"1.png", "2.png"}


def test_top_losses_come_first(drawn, blues):
    assert drawn("--images", blues, "--pick", "top-loss", "-n", 3) == ["2.png", "1.png", "3.png"]


def test_without_probabilities_the_losses_are_the_wrong_ones(drawn, blues):
    Path("preds.csv").write_text("path,label,predicted\n0.png,ant,ant\n1.png,ant,bee\n2.png,bee,bee\n")
    assert drawn("--images", blues, "--pick", "top-loss")[0] == "1.png"


def test_a_file_of_paths_and_probabilities_is_one_of_predictions(drawn, blues):
    Path("preds.csv").write_text("path,label,p:ant,p:bee\n0.png,ant,0.9,0.1\n1.png,ant,0.2,0.8\n")
    assert drawn("--images", blues) == ["1.png"]


def test_what_is_random_is_chosen_by_the_seed(drawn, blues):
    picked = [drawn("--images", blues, "--pick", "random", "-n", 3, "--seed", seed) for seed in (0, 0, 1)]
    assert picked[0] == picked[1] != picked[2]
    assert len(picked[0]) == 3


def test_the_folder_is_the_manifests_if_none_is_named(drawn, blues, refused):
    refused(1, ["images are not there", "--images ROOT"], "show", "preds.csv")
    manifest = {"images": str(blues), "model": {"card": {"classes": ["ant", "bee"]}}}
    Path("preds.csv.json").write_text(json.dumps(manifest))
    assert set(drawn()) == {"1.png", "2.png"}


def test_an_unreadable_picture_is_a_tile_without_one(drawn, blues):
    (blues / "1.png").write_bytes(b"no image")
    (blues / "2.png").unlink()
    assert set(drawn("--images", blues)) == {"1.png", "2.png"}
    assert blue_pixels() == 0


@pytest.mark.parametrize("way", ["../secret/blue.png", "{absolute}", "link.png"])
def test_a_path_that_leads_out_of_the_folder_is_not_read(drawn, blues, paint, way):
    secret = paint("secret/{colour}.png", 1, colours=("blue",)) / "blue.png"
    (blues / "link.png").symlink_to(secret)
    path = way.format(absolute=secret)
    write({path: ("ant", "bee", 0.2)})
    assert drawn("--images", blues) == [path]
    assert blue_pixels() == 0


@pytest.mark.parametrize("path", ["nul\0.png", f"{'long' * 1000}.png"], ids=["nul", "long"])
def test_a_path_that_no_file_can_have_is_a_tile_without_a_picture(drawn, blues, path):
    write({path: ("ant", "bee", 0.2)})
    assert drawn("--images", blues) == [path]
    assert blue_pixels() == 0


@pytest.mark.parametrize("name", ["$x^", "<b>bold<", "[red]", "100%", "蜜蜂"])
def test_strange_class_names_are_drawn_as_they_are(drawn, blues, name):
    Path("preds.csv").write_text(f"path,label,predicted,confidence\n0.png,{name},ant,0.9\n", encoding="utf-8")
    assert drawn("--images", blues, "--pick", f"class:{name}") == ["0.png"]


@pytest.mark.parametrize(
    ("code", "arguments", "words"),
    [
        (2, ["preds.csv", "--pick", "best"], ["cannot pick", "best", "wrong, random, top-loss or class:NAME"]),
        (2, ["preds.csv", "--pick", "class:wasp"], ["cannot pick", "classes: ant, bee"]),
        (2, ["preds.csv", "--pick", "class"], ["cannot pick", "class:NAME"]),
        (2, ["preds.csv", "--out", "grid.jpg"], [".png"]),
        (2, ["blues", "--pick", "wrong"], ["--pick", "for predictions"]),
        (1, ["preds.csv", "--images", "nowhere"], ["images are not there", "nowhere"]),
        (2, ["preds.csv", "--run", "mine"], ["--run"]),
        (1, ["nowhere.csv", "--pick", "wrong"], ["nowhere.csv", "no such"]),
        (1, ["unlabelled.csv"], ["no image to draw", "--pick wrong"]),
        (1, ["empty.csv"], ["is empty"]),
    ],
    ids=lambda value: " ".join(value) if isinstance(value, list) else "",
)
def test_bad_input(refused, blues, code, arguments, words):
    Path("unlabelled.csv").write_text("path,predicted\n0.png,ant\n")
    Path("empty.csv").touch()
    more = [] if "--images" in arguments or "blues" in arguments else ["--images", blues]
    refused(code, words, "show", *arguments, *more)


def test_when_nothing_is_wrong_nothing_is_drawn_and_that_is_no_error(cli, blues):
    write({"0.png": ROWS["0.png"]}, "right.csv")
    done = cli("show", "right.csv", "--images", blues, "--json", "facts.json")
    assert (done.code, done.stdout.strip()) == (0, "no image is wrong: nothing drawn")
    facts = json.loads(Path("facts.json").read_text(encoding="utf-8"))
    assert (facts["drawn"], facts["file"]) == ([], None)
    assert not Path("images.png").exists()
