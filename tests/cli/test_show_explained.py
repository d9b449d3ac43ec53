"""``--explain`` of ``show``, ``report`` and ``evaluate``: what a model says of images, and where that comes from."""

import base64
import io
import json
import re
import shutil
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from clsbench.api.explain import overlays
from clsbench.api.observer import Observer
from clsbench.api.predictions import open_table
from clsbench.api.show_predictions import RIGHT, UNKNOWN, WRONG, tile_title
from clsbench.inference.explaining import Explanation


@pytest.fixture
def model(tiny_onnx, tmp_path):
    """The mean of each channel is the logit of its colour: CAM is exact."""
    return Path(shutil.copy(tiny_onnx, tmp_path / "tiny.onnx"))


@pytest.fixture
def photos(paint):
    """Three class folders, in one of which a green image lies wrongly."""
    folder = paint("photos/{colour}/{k}.png", 2)
    shutil.copy(folder / "green" / "0.png", folder / "red" / "9.png")
    return folder


@pytest.fixture
def facts(cli):
    """facts(…): what --json says, after checking that all went well."""

    def show(*arguments):
        done = cli("show", *arguments, "--json", "show.json")
        assert done.code == 0, done.stderr
        return json.loads(Path("show.json").read_text(encoding="utf-8"))

    return show


def size(file="images.png"):
    with Image.open(file) as picture:
        return picture.size


def test_an_image_is_drawn_beside_its_heatmap_and_the_method_is_named(cli, photos, model):
    done = cli("show", photos / "red" / "0.png", "--model", model, "--explain")
    assert done.code == 0, done.stderr
    assert "drawn: 1 image in images.png; heatmaps by CAM" in done.stdout
    assert "explaining by CAM: 1 run of the model for each image" in done.stderr
    assert size()[0] > 1.3 * size()[1], "two tiles in a row"
    with Image.open("images.png") as picture:
        right = np.asarray(picture.convert("RGB")).astype(int)[:, size()[0] // 2 :]
    assert ((right.max(axis=2) - right.min(axis=2)) > 60).sum() > 1000, "colours over the image"


@pytest.mark.parametrize(("method", "runs"), [("cam", 1), ("occlusion", 65), ("rise", 1001)])
def test_the_method_can_be_chosen(facts, photos, model, method, runs):
    (one,) = facts(photos / "red" / "0.png", "--model", model, "--explain-by", method)["explained"]
    assert (one["method"], one["label"], one["runs"], one["size"]) == (method, "red", runs, [8, 8])
    assert 0 < one["probability"] <= 1


def test_of_a_folder_some_are_drawn_by_the_seed(facts, photos, model):
    drawn = [facts(photos, "--model", model, "--explain", "-n", 3, "--seed", s) for s in (0, 0, 1)]
    assert drawn[0]["drawn"] == drawn[1]["drawn"] != drawn[2]["drawn"]
    assert len(drawn[0]["explained"]) == 3
    assert [one["name"] for one in drawn[0]["explained"]] == drawn[0]["drawn"]


def test_without_explain_the_images_are_titled_by_the_model(facts, photos, model):
    (photos / "red" / "broken.png").write_bytes(b"no image")
    found = facts(photos, "--model", model, "-n", 99)
    assert len(found["drawn"]) == 8
    assert found["explained"] == []


def test_an_image_that_cannot_be_read_is_a_tile_with_the_reason(facts, photos, model):
    (photos / "red" / "0.png").write_bytes(b"no image")
    found = facts(photos / "red", "--model", model, "--explain")
    assert found["drawn"] == ["0.png", "1.png", "9.png"]
    assert [one["name"] for one in found["explained"]] == ["1.png", "9.png"]


@pytest.fixture
def predicted(cli, photos, model):
    """preds.csv of the photos, with its manifest; one of seven is wrong."""
    assert cli("infer", photos, "--model", model, "--out", "preds.csv", "--probabilities").code == 0
    return Path("preds.csv")


def test_of_a_wrong_prediction_both_classes_are_explained(facts, predicted):
    found = facts(predicted, "--pick", "wrong", "--explain")
    assert found["drawn"] == ["red/9.png"]
    assert [(one["label"], one["method"]) for one in found["explained"]] == [("green", "cam"), ("red", "cam")]
    three = size()
    facts(predicted, "--pick", "class:blue", "--explain", "-n", 1)
    assert three[0] > 1.3 * size()[0], "a tile more than for a right one"


def test_top_losses_and_right_ones_are_explained_too(facts, predicted):
    found = facts(predicted, "--pick", "top-loss", "--explain-by", "occlusion", "-n", 2)
    assert found["drawn"][0] == "red/9.png"
    assert [one["label"] for one in found["explained"][:2]] == ["green", "red"]
    assert len(found["explained"]) == 3, "of a right one the predicted class alone"


def test_predictions_without_a_known_model_need_it_named(cli, refused, facts, predicted, model):
    model.rename("moved.onnx")
    refused(2, ["heatmaps need the model", "tiny.onnx is not there", "--model"], "show", predicted, "--explain")
    assert facts(predicted, "--explain", "--model", "moved.onnx")["explained"]
    Path("preds.csv.json").unlink()
    folder = ("--images", "photos")
    refused(2, ["names no model", "--model FILE.onnx"], "show", predicted, "--explain", *folder)


def test_another_model_than_that_of_the_predictions_is_a_warning(cli, predicted, model):
    done = cli("show", predicted, "--explain")
    assert "another model" not in done.stderr
    with model.open("ab") as file:
        file.write(b"\x7a\x00")  # an empty field of protobuf: another hash, the same network
    done = cli("show", predicted, "--explain")
    assert done.code == 0, done.stderr
    assert "not the file that made these predictions" in done.stderr


@pytest.mark.parametrize(
    ("code", "arguments", "words"),
    [
        (2, ["--explain"], ["--explain", "a model needs images"]),
        (2, ["--model", "tiny.onnx"], ["--model", "a model needs images"]),
        (2, ["photos", "--model", "tiny.onnx", "--run", "mine"], ["--run"]),
        (2, ["photos", "--explain-by", "magic"], ["--explain-by", "occlusion"]),
        (1, ["photos", "--explain", "--model", "none.onnx"], ["no such model file", "none.onnx"]),
        (1, ["nowhere.jpg", "--model", "tiny.onnx"], ["nowhere.jpg"]),
    ],
    ids=lambda value: " ".join(value) if isinstance(value, list) else "",
)
@pytest.mark.usefixtures("photos", "model")
def test_bad_input(refused, code, arguments, words):
    refused(code, words, "show", *arguments)


@pytest.mark.parametrize("command", [("report", "preds.csv", "--out"), ("evaluate", "preds.csv", "--html")])
def test_a_report_shows_heatmaps_of_its_mistakes_if_asked(cli, predicted, command):
    page = (*command, "page.html", "--images", "photos")
    assert cli(*page).code == 0
    assert 'class="strip"' not in Path("page.html").read_text(encoding="utf-8")
    done = cli(*page, "--explain")
    assert done.code == 0, done.stderr
    assert "explaining by CAM" in done.stderr
    text = Path("page.html").read_text(encoding="utf-8")
    assert 'alt="red/9.png, and its heatmaps for green and red"' in text
    assert "by CAM" in text
    (strip,) = re.findall(r'class="strip" src="data:image/jpeg;base64,([^"]+)"', text)
    with Image.open(io.BytesIO(base64.b64decode(strip))) as picture:
        assert picture.size == (480, 160)


def test_an_image_that_is_gone_has_no_heatmap_in_the_report(cli, predicted):
    Path("photos/red/9.png").unlink()
    done = cli("report", predicted, "--images", "photos", "--explain")
    assert done.code == 0, done.stderr
    assert "1 image cannot be shown" in done.stderr
    assert 'class="strip"' not in Path("preds.html").read_text(encoding="utf-8")


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["report", "preds.csv", "--explain"], ["heatmaps need the images", "--images ROOT"]),
        (["evaluate", "preds.csv", "--explain"], ["--explain", "--html FILE"]),
        (["evaluate", "preds.csv", "--html", "e.html", "--explain-by", "rise"], ["--images ROOT"]),
    ],
    ids=lambda value: " ".join(value),
)
@pytest.mark.usefixtures("predicted")
def test_heatmaps_in_a_report_need_their_images(refused, arguments, words):
    refused(2, words, *arguments)


def test_a_tile_says_right_or_wrong_and_both_probabilities(tmp_path):
    file = tmp_path / "preds.csv"
    file.write_text(
        "path,label,predicted,p:ant,p:bee\n"
        "a.png,ant,ant,0.9,0.1\nb.png,ant,bee,0.02,0.98\nc.png,,bee,0.3,0.7\nd.png,bee,,,\ne.png,bee,ant,0.9999,0.0001\n"
    )
    with open_table(file, observer=Observer()) as table:
        titles = [tile_title(table, row) for row in range(5)]
    assert titles == [
        ("right: ant 90.0%\nloss 0.11", RIGHT),
        ("wrong: bee 98.0%\nis ant 2.0%\nloss 3.91", WRONG),
        ("bee 70.0%", UNKNOWN),
        ("not classified\nis bee", WRONG),
        ("wrong: ant 100.0%\nis bee <0.1%\nloss 9.21", WRONG),
    ]


def test_the_maps_of_an_image_have_one_scale():
    """A trace of evidence for the other class is not as red as all that of the predicted one."""
    pixels, strong = np.full((4, 4, 3), 128, np.uint8), np.eye(4, dtype=np.float32)

    def made(label, heatmap):
        return Explanation(
            name="a.png", label=label, probability=0.5, method="cam", heatmap=heatmap, pixels=pixels, runs=1
        )

    of_ant, of_bee, of_none = overlays([made("ant", strong), made("bee", strong / 100), made("cat", -strong)])
    assert np.ptp(of_ant[0, 0]) > 60
    assert np.ptp(of_bee[0, 0]) < 25
    assert (of_none == 128).all()


def test_plain_tiles_of_a_dataset_carry_their_class_alone(facts, photos, monkeypatch):
    from clsbench.images import grid

    drawn = []
    monkeypatch.setattr(grid, "save_grid", lambda tiles, *_, **how: drawn.append((tiles, how["group"])))
    shown = facts(photos, "--plain", "-n", 4, "--split", "train")
    ((tiles, group),) = drawn
    assert group is None
    assert [tile.title for tile in tiles] == [name.split("/")[0] for name in shown["drawn"]]
    assert all(tile.pixels is not None for tile in tiles)
