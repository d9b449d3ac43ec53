import pytest
import torch
from torch import nn
from torchvision.transforms import Normalize

from clsbench.errors import ModelError
from clsbench.models.classifier import Classifier
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
    network = classifier(nn.Sequential(layers_in_order(layers)))
    assert [name for name, _ in network.layer_groups] == ["stem", "middle", "top", "head"]
    for name, parameters in network.layer_groups[:-1]:
        assert [id(p) for p in parameters] == [id(p) for p in layers[name].parameters()]


def layers_in_order(layers):
    from collections import OrderedDict

    return OrderedDict(layers)


def test_a_backbone_in_one_wrapper_is_grouped_one_level_deeper():
    network = classifier(nn.Sequential(nn.Sequential(*(nn.Linear(5, 5) for _ in range(3)))))
    assert [name for name, _ in network.layer_groups] == ["0.0", "0.1", "0.2", "head"]


@pytest.mark.parametrize("times", [0, 2])
def test_layer_groups_that_lose_or_repeat_parameters_are_refused(times):
    layer = nn.Linear(72, 5)
    groups = [("body", list(layer.parameters()) * times), ("head", [])]
    with pytest.raises(ModelError, match="each of its parameters once"):
        classifier(nn.Sequential(nn.Flatten(), layer), layer_groups=groups)
