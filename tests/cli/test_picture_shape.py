"""``--resize``, ``--size``, ``--pad`` and ``--interpolation``: from training to every command after it."""

import csv
import json
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import onnx
import pytest
import torch
from PIL import Image
from torch import nn

import clsbench
from clsbench.api.components import Chosen, with_size
from clsbench.card import ModelCard
from clsbench.errors import OptionError
from clsbench.exporting.onnx_export import to_onnx, write_model
from clsbench.models import torchvision_zoo
from clsbench.models.classifier import Classifier
from clsbench.picture_shape import PictureShape
from clsbench.transform import ImageTransform

pytestmark = pytest.mark.usefixtures("without_curves")

TRAINED = ("--epochs", 1, "--batch-size", 8, "--with", "model.width=8", "--run", "shaped")


@pytest.fixture
def photos(tmp_path):
    """Wide and tall noise: red at the left or the top is one class, red at the other end another."""
    rng = np.random.default_rng(0)
    for split, count in (("train", 6), ("val", 4)):
        for k in range(count):
            for label in ("first", "last"):
                pixels = rng.integers(0, 90, (30, 90, 3), dtype=np.uint8)
                pixels[:, :30, 0] = 255
                pixels = pixels if label == "first" else pixels[:, ::-1]
                file = tmp_path / "photos" / split / label / f"{k}.png"
                file.parent.mkdir(parents=True, exist_ok=True)
                Image.fromarray(pixels.transpose(1, 0, 2) if k % 2 else pixels).save(file)
    return tmp_path / "photos"


@pytest.mark.parametrize(
    ("asked", "transform"),
    [
        (("--resize", "crop", "--size", "16,24"), {"size": [16, 24], "resize": "crop"}),
        (("--resize", "squash", "--size", "24,16"), {"size": [24, 16], "resize": "squash"}),
        (
            ("--resize", "letterbox", "--size", "16,32", "--pad", "114,0,255", "--interpolation", "box"),
            {"size": [16, 32], "resize": "letterbox", "pad": [114, 0, 255], "interpolation": "box"},
        ),
        (("--resize", "squash-crop", "--size", "24,16"), {"size": [24, 16], "resize": "squash-crop"}),
        (("--resize", "letterbox", "--size", "16", "--pad", "mean"), {"size": [16, 16], "resize": "letterbox"}),
    ],
    ids=["crop", "squash", "letterbox", "squash-crop", "padded with the mean"],
)
def test_a_shape_holds_from_training_to_inference(cli, photos, asked, transform):
    done = cli("train", photos, *asked, *TRAINED, "--json", "t.json")
    assert done.code == 0, done.stderr
    trained = json.loads(Path("t.json").read_text(encoding="utf-8"))
    recorded = json.loads(Path("runs/shaped/run.json").read_text(encoding="utf-8"))["transform"]
    assert recorded.items() >= transform.items()
    assert ("pad" in recorded) == ("pad" in transform), "the mean is written as it always was"
    exported = cli("export", "shaped", "--onnx")
    assert exported.code == 0, exported.stderr
    metadata = {entry.key: entry.value for entry in onnx.load("runs/shaped/model.onnx").metadata_props}
    assert json.loads(next(text for text in metadata.values() if "transform" in text))["transform"] == recorded
    inferred = cli("infer", photos / "val", "--model", "runs/shaped/model.onnx", "--out", "p.csv")
    assert inferred.code == 0, inferred.stderr
    rows = list(csv.DictReader(Path("p.csv").read_text(encoding="utf-8").splitlines()))
    right = [row["predicted"] == row["path"].split("/")[0] for row in rows]
    assert len(right) == 8
    assert np.mean(right) == pytest.approx(trained["result"]["val_accuracy"])


def test_weights_of_a_run_keep_its_shape_unless_another_is_asked_for(cli, photos):
    shape = ("--size", "16,24", "--resize", "letterbox", "--pad", "9,8,7")
    assert cli("train", photos, *shape, *TRAINED).code == 0
    for name, asked, said in (
        ("same", (), "preprocessing as in that run"),
        ("cropped", ("--resize", "crop"), "pad mean, was [9, 8, 7]"),
    ):
        done = cli("train", photos, "--weights", "shaped", *asked, "--epochs", 1, "--freeze-epochs", 0, "--run", name)
        assert done.code == 0, done.stderr
        assert said in done.stderr
    transforms = [json.loads(Path(f"runs/{name}/run.json").read_text())["transform"] for name in ("shaped", "same")]
    assert transforms[0] == transforms[1]


@pytest.mark.parametrize("command", ["train", "find-lr", "datasets", "show"])
@pytest.mark.parametrize(
    ("asked", "said"),
    [
        (("--pad", "1,2,3"), "only letterbox pads"),
        (("--resize", "squash", "--pad", "mean"), "only letterbox pads"),
        (("--resize", "letterbox", "--pad", "1,2,256"), "R,G,B, three whole numbers from 0 to 255, or mean"),
        (("--size", "16,24,3"), "cannot read an image size"),
        (("--size", "0,16"), "cannot read an image size"),
        (("--size", "4000"), "1 to 2048 pixels"),
    ],
)
def test_a_shape_that_is_none_is_refused(cli, photos, command, asked, said):
    done = cli(command, photos, *asked)
    assert done.code == 2, done.stderr
    assert said in done.stderr


def test_a_size_twice_is_refused_and_one_that_the_model_does_not_take(cli, photos):
    for asked, said in (
        (("--size", "16,24", "--with", "model.size=16"), "the image size is given twice"),
        (("--size", "32,64", "--model", "vit_b_16"), "vit_b_16 takes square images only"),
        (("--size", "15,16"), "an even size"),
    ):
        done = cli("train", photos, *asked)
        assert done.code == 2, done.stderr
        assert said in done.stderr


def test_datasets_says_what_the_network_gets(cli, photos):
    done = cli("datasets", photos, "--size", "16,24", "--resize", "letterbox", "--pad", "1,2,3")
    assert done.code == 0, done.stderr
    assert "simple-cnn gets: uint8 (N, 16, 24, 3), resize letterbox, pad 1,2,3" in done.stdout


def test_show_draws_the_padding(cli, photos):
    for pad, there in (("0,255,0", True), ("0,0,0", False)):
        asked = ("--size", "64,32", "--resize", "letterbox", "--pad", pad)
        done = cli("show", photos, "-n", 1, *asked, "--augment", "none")
        assert done.code == 0, done.stderr
        with Image.open("images.png") as drawn:
            green = (np.asarray(drawn.convert("RGB")) == (0, 255, 0)).all(axis=2).sum()
        assert (green > 100) == there


def test_a_run_shows_its_own_shape(cli, photos):
    assert cli("train", photos, *TRAINED).code == 0
    for asked in (("--size", "16"), ("--resize", "squash")):
        done = cli("show", "--run", "shaped", *asked)
        assert done.code == 2, done.stderr
        assert "already determines this" in done.stderr


@pytest.mark.parametrize("resize", ["squash", "squash-crop", "letterbox"])
@pytest.mark.parametrize("method", ["cam", "occlusion"])
def test_heatmaps_lie_where_the_picture_is(tmp_path, resize, method):
    """The reddest part of a wide picture, at its right end, is what counts for a network that measures red."""
    transform = ImageTransform(size=(48, 32), resize=resize, pad=(0, 60, 60))
    backbone = nn.Sequential(nn.AvgPool2d(4), nn.AdaptiveAvgPool2d(1), nn.Flatten())
    classifier = Classifier(backbone, nn.Linear(3, 2), transform=transform, feature_dim=3).eval()
    with torch.no_grad():
        classifier.head.weight[:] = torch.tensor([[1.0, 0, 0], [-1.0, 0, 0]])
        classifier.head.bias[:] = torch.tensor([5.0, 0.0])
    file, card = tmp_path / "red.onnx", ModelCard(classes=("red", "not"), transform=transform)
    write_model(to_onnx(classifier), card, file)
    picture = np.zeros((40, 80, 3), np.uint8)
    picture[:, 60:, 0] = 255
    with clsbench.load(file, device="cpu") as model:
        found = model.explain(picture, method=method)
    assert (found.label, found.heatmap.shape) == ("red", (48, 32))
    row, column = np.argwhere(found.heatmap > 0.7 * found.heatmap.max()).mean(axis=0)
    assert column == pytest.approx(27.5, abs=2), "the last quarter of 32 columns"
    assert row == pytest.approx(23.5, abs=1.5)
    rows = np.flatnonzero(found.heatmap[:, 28] > 0.5 * found.heatmap.max())
    assert len(rows) == pytest.approx(16 if resize == "letterbox" else 48, abs=7), "of letterbox 16 rows are picture"


def test_convolutional_networks_take_images_that_are_not_square():
    network = torchvision_zoo.build("resnet18", 3, size="64,96").eval()
    assert network.transform.size == (64, 96)
    assert network(torch.zeros(1, 64, 96, 3, dtype=torch.uint8)).shape == (1, 3)


def test_a_plugins_model_with_a_whole_number_for_its_size_is_refused_others():
    def build(num_classes, *, size: int | None = None):
        return None

    resolved = SimpleNamespace(component=SimpleNamespace(build=build), qualified="acme/tiny")
    assert with_size(Chosen(resolved, {}), PictureShape(size=(8, 8))).options == {"size": 8}
    with pytest.raises(OptionError, match="acme/tiny takes square images only"):
        with_size(Chosen(resolved, {}), PictureShape(size=(8, 16)))
