import pytest
import torch
from torch import nn

from clsbench.errors import OptionError
from clsbench.models.classifier import Classifier
from clsbench.models.heads import HeadSpec, parse_head, with_head
from clsbench.models.loading import load_state
from clsbench.models.simple_cnn import build

IMAGES = torch.randint(0, 256, (5, 8, 8, 3), dtype=torch.uint8, generator=torch.Generator().manual_seed(0))


@pytest.mark.parametrize(
    ("text", "width", "dropout"),
    [
        ("linear", None, 0.0),
        ("linear,dropout=0.5", None, 0.5),
        ("mlp:512", 512, 0.0),
        ("mlp:512,dropout=0.2", 512, 0.2),
        ("mlp:1,dropout=.25", 1, 0.25),
        ("mlp:8,dropout=0", 8, 0.0),
    ],
)
def test_a_heads_text_is_read(text, width, dropout):
    assert parse_head(text) == HeadSpec(width=width, dropout=dropout)


@pytest.mark.parametrize(
    "text",
    ["", "mlp", "mlp:", "mlp:0", "mlp:-3", "mlp:1.5", "linear:5", "cosine", "MLP:8", "mlp:8,dropout", "mlp:8,dropout=",
     "mlp:8,dropout=1", "linear,dropout=1.5", "mlp:8,dropout=-0.1", "mlp:8, dropout=0.1", "mlp:8,width=3", " linear",
     "linear\n", "mlp:8,dropout=0.1,dropout=0.2"],
)  # fmt: skip
def test_any_other_text_is_refused_with_the_right_form(text):
    with pytest.raises(OptionError, match="cannot read a head") as caught:
        parse_head(text)
    assert (caught.value.facts["where"], caught.value.facts["got"]) == ("--head", text)
    assert "mlp:WIDTH" in caught.value.facts["expected"]


@pytest.mark.parametrize(
    ("text", "shapes"),
    [
        ("linear,dropout=0.5", {"head.1.weight": (4, 6), "head.1.bias": (4,)}),
        ("mlp:7", {"head.0.weight": (7, 6), "head.0.bias": (7,), "head.2.weight": (4, 7), "head.2.bias": (4,)}),
        (
            "mlp:7,dropout=0.1",
            {"head.0.weight": (7, 6), "head.0.bias": (7,), "head.3.weight": (4, 7), "head.3.bias": (4,)},
        ),
    ],
)
def test_a_head_leads_from_the_features_to_the_classes(text, shapes):
    classifier = with_head(build(3, size=8, channels=2, width=6), parse_head(text), 4)
    state = classifier.state_dict()
    assert {name: tuple(t.shape) for name, t in state.items() if name.startswith("head")} == shapes
    assert classifier(IMAGES).shape == (5, 4)


def test_an_mlp_is_two_layers_with_relu_between_and_dropout_only_while_it_trains():
    classifier = with_head(build(3, size=8, channels=2, width=6), parse_head("mlp:7,dropout=0.5"), 4).eval()
    state = classifier.state_dict()
    with torch.inference_mode():
        features = classifier.features(IMAGES)
        hidden = (features @ state["head.0.weight"].T + state["head.0.bias"]).clamp(min=0)
        want = hidden @ state["head.3.weight"].T + state["head.3.bias"]
        torch.testing.assert_close(classifier(IMAGES), want)
        classifier.head.train()
        assert not torch.equal(classifier.head(features), classifier.head(features))


def test_a_plain_linear_head_is_the_models_own():
    classifier = build(3, size=8)
    assert with_head(classifier, parse_head("linear"), 3) is classifier


def test_backbone_transform_and_layer_groups_stay_what_they_were():
    layers = [nn.Linear(192, 6), nn.Linear(6, 6)]
    groups = [(name, list(layer.parameters())) for name, layer in zip(("low", "high"), layers, strict=True)]
    transform = build(3, size=8).transform
    first = Classifier(
        nn.Sequential(nn.Flatten(), *layers), nn.Linear(6, 3), transform=transform, feature_dim=6, layer_groups=groups
    )
    classifier = with_head(first, parse_head("mlp:5"), 3)
    assert classifier.backbone is first.backbone
    assert (classifier.transform, classifier.feature_dim) == (transform, 6)
    assert [name for name, _ in classifier.layer_groups] == ["low", "high", "head"]
    assert [id(p) for p in classifier.layer_groups[-1][1]] == [id(p) for p in classifier.head.parameters()]


def test_a_fresh_head_is_not_that_of_a_weights_file():
    classifier = build(3, size=8)
    load_state(classifier, build(3, size=8).state_dict(), head="head", where="w.pth")
    assert classifier.head_loaded is True
    assert with_head(classifier, parse_head("mlp:5"), 3).head_loaded is False
