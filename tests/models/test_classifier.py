import dataclasses
from collections import OrderedDict
from itertools import pairwise

import pytest
import torch
from torch import nn
from torchvision.transforms import Normalize

from clsbench.errors import ModelError
from clsbench.models.classifier import Classifier, check_outputs
from clsbench.models.torchvision_zoo import build
from clsbench.transform import ImageTransform

MEAN, STD = (0.1, 0.4, 0.7), (0.2, 0.5, 0.9)


def classifier(backbone=None, *, layer_groups=None):
    backbone = backbone or nn.Sequential(nn.Flatten(), nn.Linear(3 * 4 * 6, 5))
    transform = ImageTransform(size=(4, 6), mean=MEAN, std=STD)
    return Classifier(backbone, nn.Linear(5, 2), transform=transform, feature_dim=5, layer_groups=layer_groups)


@pytest.fixture
def images():
    return torch.randint(0, 256, (7, 4, 6, 3), dtype=torch.uint8, generator=torch.Generator().manual_seed(0))


def test_normalisation_inside_is_torchvisions(images):
    want = Normalize(MEAN, STD)(images.permute(0, 3, 1, 2) / 255)
    torch.testing.assert_close(classifier().normalise(images), want, rtol=1e-5, atol=1e-6)


def test_a_network_that_reads_blue_first_gets_it_first(images):
    network = classifier()
    network.transform = dataclasses.replace(network.transform, color="BGR")
    want = Normalize(MEAN, STD)(images.permute(0, 3, 1, 2)[:, [2, 1, 0]] / 255)
    torch.testing.assert_close(network.normalise(images), want, rtol=1e-5, atol=1e-6)


def test_logits_are_the_head_of_the_backbone_of_normalised_pixels(images):
    network = classifier()
    normalised = Normalize(MEAN, STD)(images.permute(0, 3, 1, 2) / 255)
    want = network.head(network.backbone(normalised))
    torch.testing.assert_close(network(images), want, rtol=1e-4, atol=1e-5)
    torch.testing.assert_close(network.head(network.features(images)), network(images))


def test_normalisation_is_no_weight_so_that_a_checkpoint_cannot_change_it():
    assert {name.split(".")[0] for name in classifier().state_dict()} == {"backbone", "head"}


def test_layer_groups_follow_the_network_and_end_with_the_head():
    layers = {name: nn.Linear(5, 5) for name in ("stem", "middle", "top")}
    network = classifier(nn.Sequential(OrderedDict(layers)))
    assert [name for name, _ in network.layer_groups] == ["stem", "middle", "top", "head"]
    for name, parameters in network.layer_groups[:-1]:
        assert [id(p) for p in parameters] == [id(p) for p in layers[name].parameters()]


def test_a_backbone_in_one_wrapper_is_grouped_one_level_deeper():
    network = classifier(nn.Sequential(nn.Sequential(*(nn.Linear(5, 5) for _ in range(3)))))
    assert [name for name, _ in network.layer_groups] == ["0.0", "0.1", "0.2", "head"]


@pytest.mark.parametrize("times", [0, 2])
def test_layer_groups_that_lose_or_repeat_parameters_are_refused(times):
    layer = nn.Linear(72, 5)
    groups = [("body", list(layer.parameters()) * times), ("head", [])]
    with pytest.raises(ModelError, match="each of its parameters once"):
        classifier(nn.Sequential(nn.Flatten(), layer), layer_groups=groups)


def block(*widths):
    return nn.Sequential(*(nn.Linear(a, b) for a, b in pairwise(widths)))


def named(**modules):
    return nn.Sequential(OrderedDict(modules))


@pytest.mark.parametrize(
    ("backbone", "names"),
    [
        # The last part holds more than half of all parameters.
        (
            named(stem=block(2, 2), mid=block(2, 4, 4), top=block(4, 9, 9, 5)),
            ["stem", "mid", "top.0", "top.1", "top.2"],
        ),
        # So does one of its parts.
        (
            named(stem=block(2, 2), mid=block(2, 2), top=named(a=block(2, 2), b=block(2, 9, 20, 5))),
            ["stem", "mid", "top.a", "top.b.0", "top.b.1", "top.b.2"],
        ),
        # Two parts say little about depth.
        (named(low=block(3, 4, 4), high=block(4, 4, 5)), ["low.0", "low.1", "high.0", "high.1"]),
        # One layer cannot be divided.
        (named(low=block(3, 3), mid=block(3, 3), high=block(3, 99)), ["low", "mid", "high.0"]),
        (nn.Linear(3, 5), ["weight", "bias"]),
        (nn.Flatten(), []),
    ],
)
def test_parts_that_hold_most_of_a_network_are_divided(backbone, names):
    network = classifier(backbone)
    assert [name for name, _ in network.layer_groups] == [*names, "head"]
    in_order = [id(p) for _, parameters in network.layer_groups for p in parameters]
    assert in_order == [id(p) for p in network.parameters()]


def test_a_layer_is_never_divided():
    network = classifier(named(low=block(3, 3), mid=block(3, 3), high=block(3, 99, 5)))
    for _, parameters in network.layer_groups:
        shapes = [tuple(p.shape) for p in parameters]
        assert [len(shape) for shape in shapes] == [2, 1] * (len(shapes) // 2)


def test_a_resnets_groups_are_its_stages_and_the_blocks_of_the_large_last_one():
    with torch.device("meta"):
        network = build("resnet18", 3)
    assert [name for name, _ in network.layer_groups] == [
        "conv1", "bn1", "layer1", "layer2", "layer3", "layer4.0", "layer4.1", "head"
    ]  # fmt: skip


def test_a_backbone_may_have_a_layer_called_head():
    network = classifier(named(stem=block(3, 4), body=block(4, 4), head=block(4, 5)))
    assert sum(len(parameters) for _, parameters in network.layer_groups) == 8
    assert [id(p) for p in network.layer_groups[-1][1]] == [id(p) for p in network.head.parameters()]


def test_given_groups_need_not_name_the_heads():
    layers = [nn.Linear(72, 6), nn.Linear(6, 5)]
    groups = [("all", [p for layer in layers for p in layer.parameters()])]
    network = classifier(nn.Sequential(nn.Flatten(), *layers), layer_groups=groups)
    assert [(name, len(parameters)) for name, parameters in network.layer_groups] == [("all", 4), ("head", 2)]


def outputs(backbone, head, *, feature_dim=4, **options):
    return Classifier(backbone, head, transform=ImageTransform(size=(4, 6)), feature_dim=feature_dim, **options)


class Wide(nn.Module):
    """Features (N, 4, 1, 1)."""

    def forward(self, x):
        return x.mean((2, 3))[:, :1].expand(-1, 4)[:, :, None, None]


class Flat(nn.Module):
    """Features (N, 4), with random numbers drawn and a statistic kept."""

    def __init__(self):
        super().__init__()
        self.norm, self.drop = nn.BatchNorm1d(4), nn.Dropout()

    def forward(self, x):
        torch.rand(3)
        return self.drop(self.norm(x.mean((2, 3))[:, :1].expand(-1, 4) + 3))


class Whole(nn.Linear):
    """Logits that are whole numbers."""

    def forward(self, x):
        return super().forward(x).long()


@pytest.mark.parametrize(
    ("build", "what", "got"),
    [
        (lambda: outputs(Flat(), nn.Linear(4, 4)), "wrong logits", "(2, 4) torch.float32"),
        (lambda: outputs(Flat(), nn.Linear(4, 2)), "wrong logits", "(2, 2) torch.float32"),
        (lambda: outputs(Flat(), Whole(4, 3)), "wrong logits", "(2, 3) torch.int64"),
        (lambda: outputs(Flat(), nn.Sequential(nn.Linear(4, 3), nn.Unflatten(1, (3, 1)))), "wrong logits", "(2, 3, 1)"),
        (lambda: outputs(Flat(), nn.Linear(4, 3), feature_dim=5), "wrong features", "(2, 4) torch.float32"),
        (lambda: outputs(Wide(), nn.Sequential(nn.Flatten(), nn.Linear(4, 3))), "wrong features", "(2, 4, 1, 1)"),
        (lambda: outputs(Flat(), nn.Linear(7, 3)), "cannot be run", "RuntimeError"),
    ],
)
def test_a_network_that_breaks_the_contract_is_named_with_what_it_gave(build, what, got):
    with pytest.raises(ModelError, match=f"acme/net built a network .*{what}") as caught:
        check_outputs(build(), 3, name="acme/net")
    assert str(caught.value.facts["got"]).startswith(got)


def test_checking_outputs_leaves_statistics_modes_and_random_numbers_as_they_were():
    classifier = outputs(Flat(), nn.Linear(4, 3))
    classifier.backbone.drop.eval()
    state = {name: tensor.clone() for name, tensor in classifier.state_dict().items()}
    modes = [module.training for module in classifier.modules()]
    torch.manual_seed(7)
    want = torch.rand(5)
    torch.manual_seed(7)
    check_outputs(classifier, 3, name="acme/net")
    torch.testing.assert_close(torch.rand(5), want, rtol=0, atol=0)
    torch.testing.assert_close(classifier.state_dict(), state, rtol=0, atol=0)
    assert [module.training for module in classifier.modules()] == modes
    assert all(parameter.grad is None and not parameter.is_inference() for parameter in classifier.parameters())
