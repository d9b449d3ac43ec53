"""Model plugins whose networks do not keep the contract: named before anything is trained."""

import pytest

PLUGIN = """
    from clsbench.hookspecs import Component, hookimpl

    def build(num_classes, *, pretrained=False):
        import torch
        from torch import nn
        from clsbench import Classifier, ImageTransform
        backbone = nn.Sequential(nn.AvgPool2d(8), nn.Flatten())
        return Classifier(backbone, nn.Linear(3, num_classes + 1), transform=ImageTransform(size=(8, 8)), feature_dim=3)

    @hookimpl
    def register_models():
        yield Component("extra", build, "one logit too many")
"""


@pytest.mark.parametrize("command", ["train", "find-lr"])
def test_a_head_with_one_output_too_many(refused, fake_distribution, photos, tmp_path, command):
    fake_distribution("clsbench-acme", PLUGIN)
    words = ["acme/extra built a network with the wrong logits", "got: (2, 4)", "expected: (2, 3)", "3 classes"]
    refused(1, words, command, photos, "--model", "extra")
    assert not (tmp_path / "runs").exists()
