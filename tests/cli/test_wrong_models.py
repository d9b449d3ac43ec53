"""Model plugins whose networks do not keep the contract: named before anything is trained."""

import pytest

PLUGIN = """
    from clsbench.component import Component
    from clsbench.hookspecs import hookimpl

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


LEAVING = """
    from clsbench.component import Component
    from clsbench.hookspecs import hookimpl

    def build(num_classes, *, pretrained=False, calls: int = 0):
        import torch
        from torch import nn
        from clsbench import Classifier, ImageTransform

        class Leaving(nn.AvgPool2d):
            left = calls
            def forward(self, images):
                if self.left == 0:
                    raise SystemExit(0)
                self.left -= 1
                return super().forward(images)

        backbone = nn.Sequential(Leaving(8), nn.Flatten(), nn.Linear(3, 3))
        return Classifier(backbone, nn.Linear(3, num_classes), transform=ImageTransform(size=(8, 8)), feature_dim=3)

    @hookimpl
    def register_models():
        yield Component("leaving", build, "ends the program")
"""


@pytest.mark.parametrize("command", ["train", "find-lr"])
@pytest.mark.parametrize(("calls", "words"), [(0, ["cannot be run"]), (1, ["ended the program", "clsbench-acme 1.0"])])
def test_an_exit_in_a_network_is_not_a_task_done(refused, fake_distribution, photos, command, calls, words):
    fake_distribution("clsbench-acme", LEAVING)
    arguments = ["--model", "leaving", "--with", f"model.calls={calls}", "--augment", "none"]
    refused(1, ["acme/leaving", *words], command, photos, *arguments)
