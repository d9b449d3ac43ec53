"""The reference recipes as a user types them, on small images."""

import csv
import inspect
import json
from pathlib import Path
from urllib.error import URLError

import numpy as np
import pytest
import torch
from PIL import Image
from safetensors.torch import load_file
from torchvision.models import resnet18

from clsbench.cli.train import train
from clsbench.images.entries import FileEntry
from clsbench.images.loader import ImageLoader
from clsbench.transform import ImageTransform

EXAMPLES = [line.split() for line in inspect.cleandoc(train.__doc__).splitlines() if line.startswith("train ")]


@pytest.fixture(scope="module")
def weights(tmp_path_factory):
    """A file as torchvision publishes them: ResNet-18 for 1,000 classes, of random numbers."""
    torch.manual_seed(0)
    file = tmp_path_factory.mktemp("weights") / "resnet18.pth"
    torch.save(resnet18(weights=None).state_dict(), file)
    return file


@pytest.fixture
def small_resnet18(weights):
    return ("--model", "resnet18", "--weights", weights, "--with", "model.size=32", "--batch-size", 8)


@pytest.fixture
def offline(monkeypatch, tmp_path):
    def unreachable(*_, **__):
        raise URLError("no network")

    monkeypatch.setattr("urllib.request.urlopen", unreachable)
    monkeypatch.setattr("torch.hub.urlopen", unreachable)
    monkeypatch.setenv("TORCH_HOME", str(tmp_path / "torch"))


def read(file):
    return json.loads(Path(file).read_text(encoding="utf-8"))


def is_png(file, *, at_least=(1, 1)):
    with Image.open(file) as picture:
        return picture.format == "PNG" and picture.width >= at_least[0] and picture.height >= at_least[1]


def quality(epoch):
    return epoch["val_accuracy"], -epoch["val_loss"]


def test_the_help_names_every_recipe(cli):
    shown = " ".join(cli("train", "--help").stdout.split())
    assert len(EXAMPLES) == 6
    assert not [example for example in EXAMPLES if " ".join(example) not in shown]


@pytest.mark.parametrize("example", [words for words in EXAMPLES if "--resume" not in words], ids=" ".join)
def test_an_example_of_the_help_lacks_nothing_but_the_network(cli, offline, paint, example, tmp_path):
    paint("photos/{colour}/{k}.jpg", 5)
    paint("faces/smiling/{colour}/{k}.jpg", 5, colours=("red", "blue"))
    paint("pets/images/{colour}_{k}.jpg", 5)
    done = cli(*example)
    assert done.code == 1
    assert "cannot be downloaded" in done.stderr or "cannot be had" in done.stderr
    assert "no network" in done.stderr
    assert "to do: " in done.stderr
    assert not (tmp_path / "runs").exists()


def test_a_simple_cnn_learns_small_pictures_and_draws_its_curves(trained, paint, tmp_path):
    """CIFAR-10's form: class folders of 32x32 JPEGs, train and test given, validation set aside."""
    paint("cifar/train/{colour}/{k}.jpg", 10, side=32)
    folder = paint("cifar/test/{colour}/{k}.jpg", 4, side=32, first=100)
    facts = trained(folder, "--model", "simple-cnn", "--epochs", 5, "--batch-size", 8, "--run", "cnn")
    assert facts["counts"] == {"train": 24, "val": 6, "test": 12}
    assert facts["training"]["recipe"] == "scratch"
    assert [epoch["stage"] for epoch in facts["history"]] == ["everything"] * 5
    assert facts["history"][-1]["train_loss"] < facts["history"][0]["train_loss"] / 2
    assert (facts["result"]["val_accuracy"], facts["result"]["test_accuracy"]) == (1.0, 1.0)
    run = tmp_path / "runs" / "cnn"
    assert is_png(run / "curves.png", at_least=(900, 300))
    with open(run / "log.csv", encoding="utf-8", newline="") as lines:
        rows = list(csv.DictReader(lines))
    logged = [{k: v if k == "stage" else json.loads(v.lower()) for k, v in row.items()} for row in rows]
    assert logged == facts["history"]


@pytest.mark.parametrize("name", ["$x^$", "蜜蜂"])
def test_curves_bear_the_name_of_any_run(cli, paint, tmp_path, name):
    done = cli("train", paint("photos/{colour}/{k}.png", 6), "--with", "model.size=8", "--epochs", 1, "--run", name)
    assert done.code == 0, done.stderr
    assert is_png(tmp_path / "runs" / name / "curves.png")


def test_resnet18_gets_a_new_head_and_keeps_its_best_epoch(cli, paint, small_resnet18, tmp_path):
    folder = paint("photos/{colour}/{k}.png", 8)
    arguments = ("--freeze-epochs", 1, "--epochs", 2, "--patience", 2, "--run", "fine", "--json", "fine.json")
    done = cli("train", folder, *small_resnet18, *arguments)
    assert done.code == 0, done.stderr
    assert "the head is new" in done.stderr
    facts = read("fine.json")
    assert facts["training"]["recipe"] == "fine-tune"
    assert {"head", "everything"} == {epoch["stage"] for epoch in facts["history"]}
    best = max(facts["history"], key=quality)
    assert facts["result"]["best_epoch"] == best["epoch"]
    assert facts["result"]["val_accuracy"] == best["val_accuracy"]

    state = load_file(tmp_path / "runs/fine/best.safetensors")
    network = resnet18(num_classes=3)
    network.load_state_dict({name.removeprefix("backbone.").replace("head", "fc"): v for name, v in state.items()})
    loader = ImageLoader(ImageTransform.from_json(facts["transform"]))
    pixels = torch.from_numpy(
        np.stack([loader(FileEntry(name, f"{folder}/{name}")) for name in facts["splits"]["val"]])
    )
    mean, std = (torch.tensor(facts["transform"][key]) for key in ("mean", "std"))
    with torch.inference_mode():
        answers = network.eval()(((pixels / 255 - mean) / std).permute(0, 3, 1, 2)).argmax(1)
    wanted = [facts["classes"].index(name.split("/")[0]) for name in facts["splits"]["val"]]
    assert np.mean(answers.numpy() == wanted) == pytest.approx(best["val_accuracy"])


def test_patience_ends_a_training_that_does_not_improve(cli, paint, small_resnet18):
    folder = paint("photos/{colour}/{k}.png", 6)
    still = ("--recipe", "frozen", "--optimizer", "sgd", "--lr", "1e-12")
    done = cli("train", folder, *small_resnet18, *still, "--patience", 2, "--epochs", 9, "--json", "still.json")
    assert done.code == 0, done.stderr
    assert "stopped early: no better validation in 2 epochs" in done.stdout
    facts = read("still.json")
    assert [epoch["epoch"] for epoch in facts["history"]] == [1, 2, 3]
    assert facts["result"]["best_epoch"] == 1
    assert "--patience" in facts["result"]["stopped"]


def test_a_frozen_resnet_trains_its_own_head_on_a_split_made_on_the_fly(
    trained, cli, paint, small_resnet18, weights, tmp_path
):
    folder = paint("photos/{colour}/{k}.png", 8)
    options = ("--recipe", "frozen", "--head", "mlp:512,dropout=0.2", "--val-fraction", 0.25, "--epochs", 4)
    facts = trained(folder, *small_resnet18, *options, "--run", "frozen")
    assert facts["counts"] == {"train": 18, "val": 6}
    assert {epoch["stage"] for epoch in facts["history"]} == {"head"}
    state = load_file(tmp_path / "runs/frozen/best.safetensors")
    before = torch.load(weights, weights_only=True)
    backbone = {name.removeprefix("backbone."): v for name, v in state.items() if name.startswith("backbone.")}
    assert backbone.keys() == {name for name in before if not name.startswith("fc.")}
    assert all(torch.equal(tensor, before[name]) for name, tensor in backbone.items())
    shapes = [tuple(v.shape) for name, v in state.items() if name.startswith("head.") and name.endswith("weight")]
    assert shapes == [(512, 512), (3, 512)]
    for arguments in (
        ("export", "frozen"),
        ("datasets", "--run", "frozen", "--split", "val", "--write", "val"),
        ("infer", "val", "--json", "infer.json"),
    ):
        done = cli(*arguments)
        assert done.code == 0, done.stderr
    assert read("infer.json")["metrics"]["top1"]["value"] == pytest.approx(facts["result"]["val_accuracy"])


def test_two_classes_below_an_attribute(trained, cli, paint):
    """The same images carry one label as ``smiling`` and the other as ``young``."""
    for attribute, labels in {"smiling": ("0", "1"), "young": ("1", "0")}.items():
        for colour, label in zip(("blue", "red"), labels, strict=True):
            paint(f"faces/{attribute}/{label}/{{colour}}{{k}}.jpg", 6, colours=(colour,))
    options = ("--with", "data.attribute=smiling", "--with", "model.size=8", "--epochs", 8, "--run", "faces")
    facts = trained("faces", *options, "--batch-size", 4)
    assert facts["classes"] == ["0", "1"]
    assert facts["data"]["options"]["attribute"] == "smiling"
    assert facts["counts"] == {"train": 10, "val": 2}
    assert all(name.startswith("smiling/") for name in facts["splits"]["val"])
    assert facts["result"]["val_accuracy"] == 1.0
    assert "--with data.attribute=smiling" in cli("show", "faces", "-n", 1, "--size", 16).stderr


def test_pets_by_their_file_names(trained, cli, paint, small_resnet18, weights, tmp_path):
    """fastai's recipe: look, find a rate, train the head, then unfreeze with lower rates for the first layers."""
    for colour, breed in {"blue": "Abyssinian", "green": "great_pyrenees", "red": "pug"}.items():
        paint(f"pets/images/{breed}_{{k}}.jpg", 6, colours=(colour,))
    pets = ("pets/images", "--dataset", "regex", "--with", r"data.pattern=/([^/]+)_\d+\.jpg$")

    shown = cli("show", *pets, "-n", 2, "--size", 16, "--out", "grid.png")
    assert "great_pyrenees" in shown.stdout
    assert is_png("grid.png")

    found = cli("find-lr", *pets, *small_resnet18, "--steps", 30, "--out", "lr.png", "--json", "lr.json")
    assert found.code == 0, found.stderr
    assert is_png("lr.png")
    rate = read("lr.json")["valley"]

    plan = ("--freeze-epochs", 1, "--epochs", 1, "--unfreeze-from", "layer4", "--lr-mult", 0.1, "--lr", rate)
    facts = trained(*pets, *small_resnet18, *plan, "--run", "pets")
    assert facts["classes"] == ["Abyssinian", "great_pyrenees", "pug"]
    assert [epoch["stage"] for epoch in facts["history"]] == ["head", "everything"]
    assert (facts["training"]["lr"], facts["training"]["lr_mult"]) == (rate, 0.1)

    after = load_file(tmp_path / "runs/pets/last.safetensors")
    for name, tensor in torch.load(weights, weights_only=True).items():
        if name.startswith("layer4.") and name.endswith("weight"):
            assert not torch.equal(after[f"backbone.{name}"], tensor), name
        elif not name.startswith(("layer4.", "fc.")):
            assert torch.equal(after[f"backbone.{name}"], tensor), name
