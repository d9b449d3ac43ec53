"""A model that keeps every rule, and for each rule one that breaks it alone."""

import torch
from torch import nn

from clsbench import Classifier, Component, ImageTransform, ModelError


class Flat(nn.Module):
    """A function as a layer."""

    def __init__(self, function):
        super().__init__()
        self.function = function

    def forward(self, x):
        return self.function(x)


class Unregistered(nn.Module):
    """Has numbers that no state dict holds."""

    def __init__(self):
        super().__init__()
        self.offset = torch.randn(4)

    def forward(self, x):
        return x + self.offset


class OwnNormalise(Classifier):
    def normalise(self, images):
        return images.float().permute(0, 3, 1, 2)


class OwnForward(Classifier):
    def forward(self, images):
        return super().forward(images) + 1


def network(num_classes, *, extra=None, head=None, kind=Classifier, feature_dim=4):
    if num_classes is None:
        raise ModelError("no weights")
    layers = [nn.Conv2d(3, 4, 3, stride=2), nn.Hardtanh(-9, 9), nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(4, 4)]
    backbone = nn.Sequential(*layers, *([] if extra is None else [extra]))
    head = nn.Linear(4, num_classes) if head is None else nn.Sequential(nn.Linear(4, num_classes), head)
    return kind(backbone, head, transform=ImageTransform(size=(8, 12)), feature_dim=feature_dim)


def component(make):
    def build(num_classes, *, pretrained: bool = False):
        return make(num_classes)

    return Component("tiny", build, "a tiny network")


def regrouped(num_classes):
    made = network(num_classes)
    made.layer_groups = made.layer_groups[::-1]
    return made


def frozen(num_classes):
    made = network(num_classes)
    made.backbone[0].weight.requires_grad = False
    return made


def without_pretrained(num_classes):
    return network(num_classes)


GOOD = component(network)
INPUTS = {}

BROKEN = [
    ("offers-pretrained", Component("tiny", without_pretrained, "a tiny network")),
    ("builds", component(lambda k: nn.Linear(3, k or 3))),
    ("shapes", component(lambda k: network(k, feature_dim=5))),
    ("dtypes", component(lambda k: network(k, head=Flat(lambda x: x.double())))),
    ("finite", component(lambda k: network(k, extra=Flat(lambda x: x * float("inf"))))),
    ("batch-independent", component(lambda k: network(k, extra=Flat(lambda x: x - x.mean(0))))),
    ("batch-independent", component(lambda k: network(k, extra=Flat(lambda x: nn.functional.dropout(x, 0.5))))),
    ("normalises-inside", component(lambda k: network(k, kind=OwnNormalise))),
    ("backbone-and-head", component(lambda k: network(k, kind=OwnForward))),
    ("layer-groups", component(regrouped)),
    ("gradients-reach-everything", component(lambda k: network(k, extra=Flat(lambda x: x.detach())))),
    ("gradients-reach-everything", component(frozen)),
    ("weights-are-everything", component(lambda k: network(k, extra=Unregistered()))),
    ("needs-weights-to-be-itself", component(lambda k: network(k or 1000))),
    (
        "export-passes-the-gate",
        component(lambda k: network(k, extra=Flat(lambda x: -9 * x if torch.compiler.is_exporting() else x))),
    ),
]
