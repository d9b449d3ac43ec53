"""Weights of one's own and of strangers: names, heads, and what is said of them."""

import pytest
import torch
from torchvision import models

from clsbench.errors import ModelError
from clsbench.models.heads import parse_head, renew_head, with_head
from clsbench.models.loading import load_state
from clsbench.models.simple_cnn import build
from clsbench.models.torchvision_zoo import build as build_zoo

BODY = 100  # tensors of resnet18's backbone without its counters of batches


@pytest.fixture(scope="module")
def resnet18():
    """torchvision's network with other weights than a fresh one has, under its own names."""
    torch.manual_seed(1)
    return models.resnet18(weights=None, num_classes=3).state_dict()


def load(state, *, classes=3):
    """A resnet18 of ours with these weights, as a user's file would give them."""
    classifier = build_zoo("resnet18", classes, size=32)
    load_state(classifier, state, head="fc", where="theirs.pth")
    return classifier


def same_backbone(classifier, theirs):
    want = {name: tensor for name, tensor in theirs.items() if not name.startswith("fc.")}
    torch.testing.assert_close(dict(classifier.backbone.state_dict()), want, rtol=0, atol=0)


@pytest.mark.parametrize(
    "prefix", ["", "model.", "module.", "_orig_mod.", "module._orig_mod.", "model.backbone.", "net.module.encoder_q."]
)
def test_names_are_found_under_any_prefix(resnet18, prefix):
    classifier = load({prefix + name: tensor for name, tensor in resnet18.items()})
    same_backbone(classifier, resnet18)
    torch.testing.assert_close(classifier.head.weight.data, resnet18["fc.weight"])
    report = classifier.loaded
    assert (report.prefix, report.head, report.complete) == (prefix, True, True)
    assert report.loaded == report.expected == BODY + 20


def test_what_else_a_lightning_module_holds_is_counted_and_left(resnet18):
    state = {"criterion.weight": torch.ones(3), **{f"model.{name}": tensor for name, tensor in resnet18.items()}}
    classifier = load(state)
    same_backbone(classifier, resnet18)
    assert (classifier.loaded.prefix, classifier.loaded.outside, classifier.loaded.complete) == ("model.", 1, True)
    assert "1 tensor elsewhere in the file" in str(classifier.loaded)


def test_the_head_of_another_number_of_classes_stays_fresh_and_that_is_said(resnet18):
    classifier = load(resnet18, classes=5)
    same_backbone(classifier, resnet18)
    assert classifier.head_loaded is False
    assert str(classifier.loaded) == (
        "120 of the backbone's 120 tensors (theirs.pth)\n  the head is new: the file's is for 3 classes, not 5"
    )


def test_a_head_for_as_many_classes_is_loaded_and_it_is_said_that_nobody_knows_which(resnet18):
    assert str(load(resnet18).loaded).endswith(
        "\n  the head too: it is for 3 classes as well; whether they are the same ones is not known"
    )


def test_a_head_of_several_layers_is_another_kind_until_such_a_head_is_asked_for(resnet18):
    theirs = {name: tensor for name, tensor in resnet18.items() if not name.startswith("fc.")}
    layers = {
        "0.weight": torch.rand(4, 512),
        "0.bias": torch.rand(4),
        "2.weight": torch.rand(3, 4),
        "2.bias": torch.rand(3),
    }
    classifier = load({**theirs, **{f"fc.{name}": tensor for name, tensor in layers.items()}})
    assert "the file's is of another kind (0.weight, 0.bias, 2.weight, 2.bias)" in str(classifier.loaded)
    fitting = with_head(classifier, parse_head("mlp:4"), 3)
    assert fitting.head_loaded is True
    torch.testing.assert_close(dict(fitting.head.state_dict()), layers)
    other = with_head(classifier, parse_head("mlp:5"), 3)
    assert other.head_loaded is False
    assert other.loaded.loaded == 120


def test_a_file_without_a_head_says_so(resnet18):
    theirs = {name: tensor for name, tensor in resnet18.items() if not name.startswith("fc.")}
    assert "the head is new: the file has none" in str(load(theirs).loaded)


def test_files_from_before_the_counters_of_batches_are_whole(resnet18):
    theirs = {name: tensor for name, tensor in resnet18.items() if not name.endswith("num_batches_tracked")}
    report = load(theirs).loaded
    assert (report.loaded, report.expected, report.complete) == (BODY, BODY, True)


def test_a_backbone_that_nearly_fits_is_loaded_and_the_rest_named(resnet18):
    """As timm's resnet18d, whose stem is another one."""
    theirs = {**resnet18, "conv1.0.weight": torch.rand(32, 3, 3, 3), "bn1.weight": torch.rand(32)}
    del theirs["conv1.weight"]
    classifier = load(theirs)
    report = classifier.loaded
    assert (report.loaded, report.expected, report.complete) == (118, 120, False)
    assert report.missing == ("conv1.weight",)
    assert report.misshapen == ("bn1.weight (32,), not (64,)",)
    assert report.unexpected == ("conv1.0.weight",)
    lines = str(report).splitlines()[2:]
    assert lines == [
        "  1 not in the file: conv1.weight",
        "  1 of another shape: bn1.weight (32,), not (64,)",
        "  1 without a place: conv1.0.weight",
    ]
    torch.testing.assert_close(
        classifier.backbone.layer1.state_dict()["0.conv1.weight"], theirs["layer1.0.conv1.weight"]
    )


@pytest.mark.parametrize(
    ("name", "facts"),
    [
        (
            "resnet34",
            ["120 of 216 tensors fit, 53% of the numbers", "96 without a place: "],
        ),
        ("resnet50", ["of another shape: ", "without a place: "]),
        ("vgg11", ["0 of 22 tensors fit", "100 not in the file: conv1.weight, bn1.weight, bn1.bias, … (100 in all)"]),
    ],
)
def test_weights_of_another_network_are_refused_and_load_nothing(name, facts):
    with torch.device("meta"):
        theirs = models.get_model(name, weights=None).state_dict()
    classifier = build_zoo("resnet18", 3, size=32)
    before = {name: tensor.clone() for name, tensor in classifier.state_dict().items()}
    with pytest.raises(ModelError, match=r"those of another network\n  where: theirs\.pth") as caught:
        load_state(classifier, theirs, head="fc", where="theirs.pth")
    assert not [fact for fact in facts if fact not in str(caught.value)], caught.value
    assert "75% or more of the numbers of the file and of the backbone's 1" in str(caught.value)
    torch.testing.assert_close(dict(classifier.state_dict()), before, rtol=0, atol=0)
    assert classifier.loaded is None


def test_weights_saved_by_clsbench_load_by_their_own_names():
    first, second = build(3, size=8), build(3, size=8)
    assert load_state(second, {f"module.{k}": v for k, v in first.state_dict().items()}, head="head", where="w.pth")
    torch.testing.assert_close(second.state_dict(), first.state_dict())


def test_the_original_networks_names_are_renamed():
    source, target = build(3, size=8), build(3, size=8)
    renamed = {k.removeprefix("backbone.").replace("head.", "fc."): v for k, v in source.state_dict().items()}
    assert load_state(target, renamed, head="fc", where="w.pth")
    torch.testing.assert_close(target.state_dict(), source.state_dict())


def test_whether_the_head_came_from_the_file_is_known_later():
    fresh, same, other = (build(3, size=8) for _ in range(3))
    load_state(same, build(3, size=8).state_dict(), head="head", where="w.pth")
    load_state(other, build(5, size=8).state_dict(), head="head", where="w.pth")
    assert (fresh.head_loaded, same.head_loaded, other.head_loaded) == (None, True, False)


@pytest.mark.parametrize(("source", "target"), [("linear", "mlp:4"), ("mlp:4", "linear"), ("mlp:4", "mlp:5")])
def test_a_head_of_another_form_stays_fresh_and_the_backbone_is_loaded(source, target):
    first, second = (with_head(build(3, size=8), parse_head(text), 3) for text in (source, target))
    fresh = {name: tensor.clone() for name, tensor in second.head.state_dict().items()}
    assert not load_state(second, first.state_dict(), head="head", where="w.pth")
    assert second.head_loaded is False
    torch.testing.assert_close(second.head.state_dict(), fresh, rtol=0, atol=0)
    torch.testing.assert_close(second.backbone.state_dict(), first.backbone.state_dict(), rtol=0, atol=0)


def test_an_mlp_head_is_loaded_into_one_of_the_same_form():
    first, second = (with_head(build(3, size=8), parse_head("mlp:4,dropout=0.1"), 3) for _ in range(2))
    assert load_state(second, first.state_dict(), head="head", where="w.pth")
    torch.testing.assert_close(second.state_dict(), first.state_dict(), rtol=0, atol=0)


def test_a_renewed_head_forgets_the_files(resnet18):
    classifier = load(resnet18)
    renew_head(classifier, "other classes")
    assert not torch.equal(classifier.head.weight, resnet18["fc.weight"])
    assert str(classifier.loaded).endswith("the head is new: other classes")


def test_what_was_loaded_is_json(resnet18):
    assert load(resnet18, classes=2).loaded.to_json() == {
        "file": "theirs.pth", "loaded": 120, "expected": 120, "head": False,
        "head_reason": "the file's is for 3 classes, not 2", "prefix": "", "missing": [], "misshapen": [],
        "unexpected": [], "outside": 0, "run": None, "run_recipe": None, "transform_change": [],
    }  # fmt: skip
