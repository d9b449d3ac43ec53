import copy

import pytest
import torch
from torch import nn

from clsbench.models.classifier import Classifier
from clsbench.training.folding import find_pairs, folded
from clsbench.training.freezing import training_mode
from clsbench.transform import ImageTransform


class Standardised(nn.Conv2d):
    """Weights that are normalised when they are used: scaling them changes nothing."""

    def forward(self, images):
        weight = self.weight / self.weight.norm()
        return nn.functional.conv2d(images, weight, self.bias, padding=1)


class Branching(nn.Module):
    """The convolution's output goes past the normalisation too."""

    def __init__(self):
        super().__init__()
        self.conv, self.norm = nn.Conv2d(4, 4, 3, padding=1), nn.BatchNorm2d(4)

    def forward(self, images):
        made = self.conv(images)
        return self.norm(made) + made


class Twice(Branching):
    def forward(self, images):
        return self.norm(self.conv(self.norm(self.conv(images))))


def network(*middle):
    torch.manual_seed(0)
    layers = [nn.Conv2d(3, 4, 3, stride=2, bias=False), nn.BatchNorm2d(4), nn.ReLU(inplace=True), *middle]
    backbone = nn.Sequential(*layers, nn.AdaptiveAvgPool2d(1), nn.Flatten())
    made = Classifier(backbone, nn.Linear(4, 3), transform=ImageTransform(size=(16, 16)), feature_dim=4)
    for module in made.modules():
        if isinstance(module, nn.BatchNorm2d) and module.affine:
            for tensor in (module.running_var, module.weight.data):
                tensor.uniform_(0.5, 2)
            for tensor in (module.running_mean, module.bias.data):
                tensor.normal_()
    return made


IMAGES = torch.randint(0, 256, (6, 16, 16, 3), dtype=torch.uint8, generator=torch.Generator().manual_seed(1))


def gradients(classifier):
    classifier.zero_grad()
    logits = classifier(IMAGES)
    logits.square().sum().backward()
    return [logits, *(parameter.grad for parameter in classifier.parameters())]


def test_a_step_has_the_logits_and_gradients_of_the_layers():
    classifier = network(nn.Conv2d(4, 4, 1), nn.BatchNorm2d(4))
    training_mode(classifier, keep_statistics=True)
    expected = gradients(copy.deepcopy(classifier))
    before = {name: tensor.clone() for name, tensor in classifier.state_dict().items()}
    pairs = find_pairs(classifier, IMAGES[:2])
    assert len(pairs) == 2
    with folded(pairs):
        assert classifier.backbone[1](IMAGES) is IMAGES
        found = gradients(classifier)
    for ours, theirs in zip(found, expected, strict=True):
        torch.testing.assert_close(ours, theirs, rtol=1e-4, atol=1e-4)
    assert "forward" not in vars(classifier.backbone[0])
    for name, tensor in classifier.state_dict().items():
        assert torch.equal(tensor, before[name])


@pytest.mark.parametrize(
    "middle",
    [
        [Standardised(4, 4, 3), nn.BatchNorm2d(4)],
        [Branching()],
        [Twice()],
        [nn.Conv2d(4, 4, 1), nn.BatchNorm2d(4, affine=False)],
        [nn.Conv2d(4, 4, 1), nn.ReLU(), nn.BatchNorm2d(4)],
    ],
    ids=["weights of its own", "used elsewhere", "called twice", "no weights", "something between"],
)
def test_what_is_more_than_two_layers_in_a_row_is_left_alone(middle):
    classifier = network(*middle)
    training_mode(classifier, keep_statistics=True)
    assert [pair.conv for pair in find_pairs(classifier, IMAGES[:2])] == [classifier.backbone[0]]


def test_statistics_that_are_learnt_and_layers_that_are_frozen_are_left_alone():
    classifier = network()
    training_mode(classifier, keep_statistics=False)
    assert not find_pairs(classifier, IMAGES[:2])
    classifier.backbone.requires_grad_(False)
    training_mode(classifier, keep_statistics=True)
    assert not find_pairs(classifier, IMAGES[:2])
