import numpy as np
import pytest
import torch
from safetensors.torch import load_file
from torch import nn

from clsbench.datasets.dataset import Sample
from clsbench.images.entries import BytesEntry
from clsbench.models.classifier import Classifier
from clsbench.models.heads import parse_head, with_head
from clsbench.training import features, setup
from clsbench.training.features import FrozenBackbone, onnx_backbone
from clsbench.training.recipes import Stage
from clsbench.transform import ImageTransform

CPU = torch.device("cpu")

#: One epoch of the head of the network with batch normalisation.
HEAD = Stage("head", 1, 4, 0.1, 1.0)


def images(count=6):
    return torch.randint(0, 256, (count, 8, 8, 3), generator=torch.Generator().manual_seed(0)).to(torch.uint8)


def in_torch(classifier, inputs):
    with torch.inference_mode():
        return classifier.eval().features(inputs).numpy()


@pytest.fixture
def exports(monkeypatch):
    """Every call of onnx_backbone, which gives zeros for features."""
    calls = []

    def fake(classifier, inputs):
        calls.append(inputs)
        return lambda batch: np.zeros((len(batch), classifier.feature_dim), np.float32)

    monkeypatch.setattr(features, "onnx_backbone", fake)
    return calls


@pytest.mark.parametrize("head", ["linear", "mlp:5,dropout=0.3"])
@pytest.mark.parametrize(
    ("cached", "in_the_loop"),
    [
        ({"views": 1}, {"views": 1}),
        ({"views": 1, "augment": "basic"}, {"views": 1, "augment": "basic"}),
        ({"views": 4, "augment": "basic"}, {"views": 0, "augment": "basic"}),
        ({"views": 2, "augment": "basic"}, {"views": 2, "augment": "basic"}),
    ],
    ids=["one view", "validation's view", "as many views as epochs", "two views"],
)
def test_a_head_trained_on_cached_features_is_the_one_trained_with_the_backbone_in_the_loop(
    head, cached, in_the_loop, normed, pictures, configured, train, monkeypatch
):
    def weights(name, options):
        config = configured(recipe="frozen", epochs=4, head=head, **options)
        torch.manual_seed(0)
        classifier = with_head(normed(), parse_head(head), 3)
        return load_file(train(classifier, pictures(), config, name).run.last)

    want_cached = weights("cached", cached)
    if in_the_loop["views"]:
        monkeypatch.setattr(setup, "cache_features", lambda *arguments, **options: None)
    torch.testing.assert_close(weights("loop", in_the_loop), want_cached, rtol=0, atol=1e-4)


def test_the_comparison_of_both_ways_would_notice_another_view(normed, pictures, configured, train):
    one, two = (
        load_file(train(normed(), pictures(), configured(recipe="frozen", epochs=4, **o), str(o["views"])).run.last)
        for o in ({"views": 1}, {"views": 4, "augment": "basic"})
    )
    assert (one["head.weight"] - two["head.weight"]).abs().max() > 1e-3


@pytest.mark.parametrize(("options", "calls"), [({}, 24 + 9), ({"views": 3, "augment": "basic"}, 3 * 24 + 9)])
def test_the_backbone_sees_each_view_of_each_picture_once(options, calls, normed, pictures, configured, train):
    classifier, seen = normed(), []
    classifier.backbone.register_forward_hook(lambda module, inputs, output: seen.append(len(output)))
    train(classifier, pictures(), configured(recipe="frozen", epochs=6, **options))
    # Before, two empty images ask twice how much work the network is.
    assert seen[:2] == [2, 2]
    assert sum(seen[2:]) == calls


def test_progress_of_the_features_is_heard(normed, pictures, configured, set_up_for, observer):
    made = set_up_for(normed(), pictures(), configured(recipe="frozen", views=2, augment="basic"))
    observer.advanced = 0
    made.batches(HEAD)
    assert observer.stages[-1] == ("features", 2 * 24 + 9)
    assert observer.advanced == 2 * 24 + 9


@pytest.mark.parametrize("place", ["ram", "disk"])
def test_cached_features_are_the_backbones_wherever_they_are_kept(
    place, normed, pictures, configured, set_up_for, monkeypatch
):
    monkeypatch.setattr(features, "choose_storage", lambda size, asked, folder: place)
    made = set_up_for(normed(), pictures(), configured(recipe="frozen"))
    train, val, cached = made.batches(HEAD)
    assert cached
    samples = made.val.samples
    inputs, labels = zip(*val.epoch(0), strict=True)
    pixels = torch.from_numpy(np.stack([sample.image.pixels for sample in samples]))
    np.testing.assert_allclose(torch.cat(inputs), in_torch(made.classifier, pixels), atol=1e-5)
    assert torch.cat(labels).tolist() == [sample.label for sample in samples]
    for inputs, labels in train.epoch(1):
        assert (inputs.shape, labels.shape) == ((6, 24), (6,))


def test_features_that_fit_nowhere_leave_the_backbone_in_the_loop(
    normed, pictures, configured, set_up_for, monkeypatch
):
    monkeypatch.setattr(features, "choose_storage", lambda size, asked, folder: "off")
    made = set_up_for(normed(), pictures(), configured(recipe="frozen"))
    train, _, cached = made.batches(HEAD)
    assert not cached
    assert next(train.epoch(1))[0].shape == (6, 8, 8, 3)


def test_unreadable_pictures_have_no_features(normed, pictures, colours, configured, set_up_for):
    val = [Sample(BytesEntry("val/broken.png", b"text"), 1), *colours(5, split="val")]
    made = set_up_for(normed(), pictures(val=val), configured(recipe="frozen"))
    _, batches, _ = made.batches(HEAD)
    inputs, labels = zip(*batches.epoch(0), strict=True)
    assert torch.cat(labels).tolist() == [0, 1, 2, 0, 1]
    pixels = torch.from_numpy(np.stack([sample.image.pixels for sample in val[1:]]))
    np.testing.assert_allclose(torch.cat(inputs), in_torch(made.classifier, pixels), atol=1e-5)


def test_the_exported_backbone_agrees_with_torch_and_leaves_the_network_as_it_was(normed):
    classifier = normed().eval()
    before = {name: tensor.clone() for name, tensor in classifier.state_dict().items()}
    run = onnx_backbone(classifier, images())
    assert not any(module.training for module in classifier.modules())
    torch.testing.assert_close(classifier.state_dict(), before, rtol=0, atol=0)
    other = images(11).flip(2)
    np.testing.assert_allclose(run(other), in_torch(classifier, other), rtol=1e-4, atol=1e-5)
    np.testing.assert_allclose(run(other[:1].float() + 0.25), in_torch(classifier, other[:1] + 0.25), atol=1e-4)


class NotInOnnx(nn.Module):
    def forward(self, x):
        return torch.linalg.svdvals(x).flatten(1)


class AnotherOne(nn.Module):
    def forward(self, x):
        return x.mean(dim=(2, 3)) * (2 if torch.jit.is_tracing() else 1)


@pytest.mark.parametrize("backbone", [NotInOnnx, AnotherOne])
def test_a_backbone_that_cannot_be_exported_or_comes_out_wrong_runs_in_torch(backbone, monkeypatch):
    monkeypatch.setattr(features, "WORTH", 0.0)
    classifier = Classifier(backbone(), nn.Linear(24, 3), transform=ImageTransform(size=(8, 8)), feature_dim=24).eval()
    assert onnx_backbone(classifier, images()) is None
    batches = [(images().roll(k, 0), k) for k in range(20)]
    for (got, k), (inputs, along) in zip(FrozenBackbone(classifier, CPU, 120, 1)(batches), batches, strict=True):
        assert k == along
        np.testing.assert_allclose(got, in_torch(classifier, inputs), rtol=1e-5)


@pytest.mark.parametrize(("worth", "exported"), [(999.0, 1), (1000.0, 0)])
def test_an_export_happens_once_and_only_where_torch_would_take_longer(worth, exported, exports, normed, monkeypatch):
    monkeypatch.setattr(features, "WORTH", worth)
    backbone = FrozenBackbone(normed(), CPU, 100, 10)  # 1,000 operations
    for _ in range(2):  # training images, validation images
        got = [features for features, _ in backbone((images(4), None) for _ in range(12))]
    assert len(exports) == exported
    assert all((np.abs(f).max() == 0) == bool(exported) for f in got)


def test_a_gpu_needs_no_export(exports, normed, monkeypatch):
    monkeypatch.setattr(features, "WORTH", 0.0)
    backbone = FrozenBackbone(normed(), torch.device("meta"), 100, 10)
    assert len(list(backbone((images(4), None) for _ in range(4)))) == 4
    assert exports == []


def test_exported_features_go_to_the_right_pictures(normed, pictures, colours, configured, set_up_for, monkeypatch):
    monkeypatch.setattr(features, "WORTH", 0.0)
    runs = []
    export = onnx_backbone
    monkeypatch.setattr(features, "onnx_backbone", lambda *a: runs.append(export(*a)) or runs[-1])
    made = set_up_for(normed(), pictures(train=colours(90)), configured(recipe="frozen"))
    train, _, _ = made.batches(HEAD)
    assert callable(runs[0])
    pixels = torch.from_numpy(np.stack([sample.image.pixels for sample in made.train.samples]))
    got, indices = train.source.fetch(np.arange(90), 0)
    assert indices.tolist() == list(range(90))
    np.testing.assert_allclose(got, in_torch(made.classifier, pixels), atol=1e-4)
