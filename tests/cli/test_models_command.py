"""``clsbench models``: the list, and one network layer by layer."""

import json

import pytest
import torch
from torch import nn

from clsbench.models.classifier import Classifier
from clsbench.models.layers import without_memory
from clsbench.transform import ImageTransform

PLUGIN = """
    from clsbench import Component, ModelFacts, hookimpl

    def build(num_classes, *, pretrained: bool = False):
        raise ValueError("not today")

    @hookimpl
    def register_models():
        yield Component("bare", build, "declares nothing")
        yield Component("told", build, "declares facts", facts=ModelFacts(parameters=12_345_678, size=96))
"""


@pytest.fixture
def narrow(cli, monkeypatch):
    monkeypatch.setenv("COLUMNS", "80")
    return cli


def lines(text):
    return [line for line in text.splitlines() if line.strip()]


def test_every_model_has_one_line_of_at_most_80_columns_and_its_whole_name(narrow):
    done = narrow("models", "--quiet")
    assert done.code == 0, done.stderr
    rows = lines(done.stdout)[3:]
    assert len(rows) == len(json.loads(narrow("models", "--json", "-").stdout)["models"]) > 80
    assert max(map(len, rows)) <= 80
    assert any(row.split()[:4] == ["resnet18", "11.7", "M", "224"] for row in rows)


def test_the_summary_stands_where_the_names_leave_room(narrow):
    rows = [line.split() for line in lines(narrow("models", "--match", "vgg11").stdout)]
    assert ["vgg11", "132.9", "M", "224", "69.02%", "torchvision", "0.29.1"] in [row[:7] for row in rows]


def test_numbers_are_left_out_rather_than_cut_where_names_are_long(narrow, fake_distribution):
    fake_distribution("clsbench-acme", PLUGIN.replace('"bare"', f'"{"bare" * 12}"'))
    done = narrow("models", "--match", "bare")
    assert lines(done.stdout)[-1].split() == ["bare" * 12, "-", "-"]
    assert "no room for top-1" in done.stderr


@pytest.mark.parametrize(("width", "length", "columns"), [(80, 44, 4), (100, 44, 5), (120, 44, 6), (80, 49, 3)])
def test_a_summary_is_left_out_before_a_number(cli, fake_distribution, monkeypatch, width, length, columns):
    fake_distribution("clsbench-acme", PLUGIN.replace('"bare"', f'"{"bare" + "x" * (length - 4)}"'))
    monkeypatch.setenv("COLUMNS", str(width))
    done = cli("models", "--match", "barex")
    heads = ["name", "parameters", "input", "top-1", *(["plugin"] if width >= 100 else []), "summary"]
    assert lines(done.stdout)[1].split() == heads[:columns]
    assert ("leave no room" in done.stderr) == (columns < len(heads))
    assert max(map(len, lines(done.stdout))) <= width


def test_a_name_that_others_have_too_is_shown_with_its_plugin(narrow, fake_distribution):
    fake_distribution("clsbench-acme", PLUGIN.replace('"bare"', '"alexnet"'))
    done = narrow("models", "--match", "alexnet")
    assert [line.split()[0] for line in lines(done.stdout)[-2:]] == ["alexnet", "acme/alexnet"]
    done = narrow("models", "--match", "acme/a*")
    assert lines(done.stdout)[-1].split()[0] == "acme/alexnet"


@pytest.mark.parametrize(
    ("match", "names"),
    [
        ("resnet1*", ["resnet101", "resnet152", "resnet18"]),
        ("SIMPLE", ["simple-cnn"]),
        ("vgg1?", ["vgg11", "vgg13", "vgg16", "vgg19"]),
    ],
)
def test_a_glob_or_a_part_of_a_name_shortens_the_list(narrow, match, names):
    done = narrow("models", "--match", match, "--json", "-")
    found = json.loads(done.stdout)["models"]
    found = [model for model in found if model["plugin"] == "clsbench"]  # the plugins installed here have more
    assert [model["name"] for model in found] == names
    assert all(model["facts"]["parameters"] > 0 for model in found)


def test_what_matches_nothing_is_an_error_with_a_suggestion(refused):
    refused(2, ["no model matches", "rsnet18", "did you mean resnet18"], "models", "--match", "rsnet18")


def test_a_plugins_models_show_what_they_declare(narrow, fake_distribution):
    fake_distribution("clsbench-acme", PLUGIN)
    for name in ("bare", "told"):
        rows = {line.split()[0]: line.split() for line in lines(narrow("models", "--match", name).stdout)}
        wanted = (
            ["-", "-", "-", "declares", "nothing"] if name == "bare" else ["12.3", "M", "96", "-", "declares", "facts"]
        )
        assert rows[name] == [name, *wanted]


def test_one_model_is_printed_layer_by_layer_with_what_each_recipe_trains(narrow):
    done = narrow("models", "simple-cnn", "--num-classes", 3, "--with", "model.width=7", "--json", "facts.json")
    assert done.code == 0, done.stderr
    rows = [line.split() for line in lines(done.stdout)]
    for row in (["0", "Conv2d", "18×32×32", "504"], ["4", "Linear", "7", "32,263"], ["head", "Linear", "3", "24"],
                ["all", "32,791"], ["frozen", "head", "20", "24", "0.1%"],
                ["fine-tune", "everything", "5", "32,791", "100.0%"]):  # fmt: skip
        assert row in rows
    assert max(map(len, done.stdout.splitlines())) <= 80
    with open("facts.json", encoding="utf-8") as file:
        facts = json.load(file)
    assert (facts["parameters"], facts["num_classes"]) == (32_791, 3)
    assert facts["layers"][1] == {
        "name": "backbone.0",
        "depth": 2,
        "kind": "Conv2d",
        "output": [18, 32, 32],
        "parameters": 504,
        "multiply_adds": 504 * 32 * 32,
    }
    assert facts["groups"][-1] == {"name": "head", "parameters": 24}


def test_each_layer_says_in_which_stage_of_a_recipe_it_learns(narrow):
    done = narrow("models", "resnet18", "--show", "--unfreeze-from", "layer4", "--depth", 2, "--json", "facts.json")
    assert done.code == 0, done.stderr
    rows = [line.split() for line in lines(done.stdout)]
    for row in (["layer3", "Sequential", "256×14×14", "2,099,712", "frozen"],
                ["layer4", "Sequential", "512×7×7", "8,393,728", "everything"],
                ["head", "Linear", "1000", "513,000", "head,", "everything"],
                ["fine-tune", "everything", "5", "8,906,728", "76.2%"]):  # fmt: skip
        assert row in rows
    assert max(map(len, done.stdout.splitlines())) <= 101, "the line of groups folds on a terminal"
    with open("facts.json", encoding="utf-8") as file:
        facts = json.load(file)
    _, everything = facts["recipes"]
    learning = dict(zip([layer["name"] for layer in facts["layers"]], everything["layers"], strict=True))
    assert (learning["backbone.conv1"], learning["backbone.layer4"], learning["head"]) == (0, 8_393_728, 513_000)


def test_the_work_of_an_image_grows_with_its_size(narrow):
    """torchvision documents 1.81 GFLOPS for its resnet18 at 224 × 224."""
    done = narrow("models", "resnet18", "--json", "-")
    assert json.loads(done.stdout)["multiply_adds"] == pytest.approx(1.81e9, rel=0.01)
    smaller = json.loads(narrow("models", "resnet18", "--size", 112, "--json", "-").stdout)
    assert smaller["transform"]["size"] == [112, 112]
    assert smaller["multiply_adds"] == pytest.approx(1.81e9 / 4, rel=0.1)


HOSTILE = """
    from clsbench import Component, hookimpl

    def build(num_classes, *, pretrained: bool = False):
        from torch import nn
        from clsbench import Classifier, ImageTransform
        backbone = nn.Sequential()
        backbone.add_module("\\x1b[31mred\\nnext: rm", nn.Conv2d(3, 3, 1))
        backbone.add_module("flat", nn.Flatten())
        half = (0.5, 0.5, 0.5)
        transform = ImageTransform(size=(4, 4), mean=half, std=half)
        return Classifier(backbone, nn.Linear(48, num_classes), transform=transform, feature_dim=48)

    @hookimpl
    def register_models():
        yield Component("hostile", build, "names a layer oddly")
"""


def test_a_layers_name_does_not_steer_the_terminal(narrow, fake_distribution):
    fake_distribution("clsbench-acme", HOSTILE)
    done = narrow("models", "hostile")
    assert done.code == 0, done.stderr
    assert "?[31mred?next: rm" in done.stdout
    assert "\x1b" not in done.stdout


def test_the_layers_of_resnet18_are_those_of_its_paper(narrow):
    """Table 1 of K. He et al., Deep Residual Learning for Image Recognition, CVPR 2016."""
    layers = json.loads(narrow("models", "resnet18", "--json", "-").stdout)["layers"]
    outputs = {layer["name"]: layer["output"] for layer in layers}
    assert [outputs[f"backbone.layer{k}"] for k in (1, 2, 3, 4)] == [
        [64, 56, 56], [128, 28, 28], [256, 14, 14], [512, 7, 7]
    ]  # fmt: skip
    assert sum("conv" in name for name in outputs) == 17


@pytest.mark.parametrize(
    ("code", "arguments", "words"),
    [
        (2, ["resnet81"], ["unknown model 'resnet81'", "did you mean resnet18"]),
        (2, ["resnet18", "--match", "a"], ["not both"]),
        (2, ["--with", "model.size=3"], ["which model"]),
        (2, ["--show"], ["which model is --show for?"]),
        (2, ["simple-cnn", "--unfreeze-from", "nowhere"], ["no such layer group", "nowhere"]),
        (2, ["simple-cnn", "--recipe", "frozen", "--unfreeze-from", "head"], ["frozen does not take"]),
        (2, ["simple-cnn", "--with", "model.size=3"], ["an even size"]),
    ],
)
def test_wrong_usage(refused, code, arguments, words):
    refused(code, words, "models", *arguments)


def test_a_network_that_looks_at_values_is_run_on_the_cpu():
    class Looks(nn.Module):
        def forward(self, images):
            return images.mean(dim=(2, 3)) if float(images.sum()) < 9e9 else None

    def build():
        transform = ImageTransform(size=(8, 8))
        return Classifier(nn.Sequential(Looks()), nn.Linear(3, 2), transform=transform, feature_dim=3)

    classifier, layers = without_memory(build)
    assert classifier.head.weight.device == torch.device("cpu")
    assert [(layer.name, layer.output) for layer in layers] == [
        ("backbone", (3,)), ("backbone.0", (3,)), ("head", (2,))
    ]  # fmt: skip
