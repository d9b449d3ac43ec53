import re
import sys

import numpy as np
import pytest
import torch
from PIL import Image
from safetensors.torch import save_file
from torch import nn
from torchvision import models
from torchvision.transforms import Normalize

from clsbench.errors import ModelError
from clsbench.images.entries import PixelsEntry
from clsbench.images.loader import ImageLoader
from clsbench.models import torchvision_zoo
from clsbench.models.classifier import Classifier
from clsbench.models.imagenet import imagenet_classes, qualified
from clsbench.models.torchvision_zoo import build
from clsbench.testing import check_model, installed
from clsbench.transform import IMAGENET_MEAN, IMAGENET_STD

#: Networks with different presets: bilinear and bicubic, crops of 0.875 to 1, 224 to 384 pixels.
PRESETS = ("resnet18", "resnet50", "mobilenet_v3_small", "squeezenet1_1", "efficientnet_b0", "efficientnet_b1",
           "efficientnet_v2_s", "vit_b_16", "swin_t", "convnext_tiny", "maxvit_t")  # fmt: skip

#: A level of 255, divided by the smallest std: what a rounding may differ.
ONE_LEVEL = 1 / 255 / min(IMAGENET_STD)


@pytest.mark.parametrize("name", ["resnet18", "mobilenet_v3_small", "squeezenet1_1", "googlenet"])
def test_it_is_a_model(name):
    check_model(installed("model", name), num_classes=3, size=64)


@pytest.mark.parametrize("name", PRESETS)
@pytest.mark.parametrize("photo", ["china.jpg", "flower.jpg"])
def test_loader_and_normalisation_are_the_published_preset(name, photo):
    from sklearn.datasets import load_sample_image

    image = np.ascontiguousarray(load_sample_image(photo)[:411, :530])
    with torch.device("meta"):
        transform = build(name, 3).transform
    first_layer = Classifier(nn.Flatten(), nn.Linear(1, 2), transform=transform, feature_dim=1)
    got = first_layer.normalise(torch.from_numpy(ImageLoader(transform)(PixelsEntry("", image)))[None])[0]
    want = models.get_model_weights(name).DEFAULT.transforms()(Image.fromarray(image))
    assert got.shape == want.shape
    assert (got - want).abs().max() <= 2.01 * ONE_LEVEL
    assert (got - want).abs().mean() <= 0.05 * ONE_LEVEL


def original(name):
    """torchvision's own network, its batch norms set by a batch so that logits depend on the image."""
    torch.manual_seed(0)
    network = models.get_model(name, weights=None, init_weights=False, transform_input=True, aux_logits=True)
    for module in network.modules():
        if isinstance(module, nn.BatchNorm2d):
            module.momentum = 1.0
    network(torch.randn(4, 3, 299 if name == "inception_v3" else 112, 299 if name == "inception_v3" else 112))
    return network.eval()


@pytest.mark.parametrize(("name", "side"), [("googlenet", 112), ("inception_v3", 139)])
def test_half_as_mean_and_std_is_torchvisions_transform_input(name, side, tmp_path):
    network = original(name)
    torch.save(network.state_dict(), tmp_path / "w.pth")
    classifier = build(name, None, weights=tmp_path / "w.pth", size=side).eval()
    images = torch.randint(0, 256, (2, side, side, 3), dtype=torch.uint8)
    with torch.inference_mode():
        want = network(Normalize(IMAGENET_MEAN, IMAGENET_STD)(images.permute(0, 3, 1, 2) / 255))
        got = classifier(images)
    spread = (want[0] - want[1]).abs().max()
    assert spread > 0.01
    torch.testing.assert_close(got, want, rtol=0, atol=1e-3 * float(spread))


@pytest.fixture
def resnet18_file(tmp_path):
    network = models.resnet18(weights=None)
    torch.save(network.state_dict(), tmp_path / "resnet18.pth")
    return network, tmp_path / "resnet18.pth"


def test_local_weights_give_the_backbone_and_a_new_head(resnet18_file):
    network, file = resnet18_file
    classifier = build("resnet18", 3, weights=file)
    want = {k: v for k, v in network.state_dict().items() if not k.startswith("fc.")}
    torch.testing.assert_close(classifier.backbone.state_dict(), want)
    assert classifier.head.weight.shape == (3, 512)
    assert classifier.classes is None


@pytest.mark.parametrize("name", ["resnet18", "mobilenet_v3_small", "shufflenet_v2_x0_5"])
def test_as_it_is_it_gives_torchvisions_logits(name, tmp_path):
    torch.manual_seed(0)
    network = models.get_model(name, weights=None).eval()
    torch.save(network.state_dict(), tmp_path / "w.pth")
    classifier = build(name, None, weights=tmp_path / "w.pth", size=64).eval()
    images = torch.randint(0, 256, (2, 64, 64, 3), dtype=torch.uint8)
    with torch.inference_mode():
        want = network(Normalize(IMAGENET_MEAN, IMAGENET_STD)(images.permute(0, 3, 1, 2) / 255))
        torch.testing.assert_close(classifier(images), want, rtol=1e-3, atol=1e-4)
    assert classifier.classes == imagenet_classes()


def test_squeezenets_backbone_is_loaded_from_its_original_names(tmp_path):
    network = models.squeezenet1_1(weights=None)
    torch.save(network.state_dict(), tmp_path / "w.pth")
    classifier = build("squeezenet1_1", 3, weights=tmp_path / "w.pth", size=64).eval()
    images = torch.randint(0, 256, (2, 64, 64, 3), dtype=torch.uint8)
    with torch.inference_mode():
        want = network.eval().features(classifier.normalise(images)).mean(dim=(2, 3))
        torch.testing.assert_close(classifier.features(images), want)


@pytest.mark.parametrize("name", ["mobilenet_v3_small", "squeezenet1_1"])
def test_weights_saved_by_training_load_again(name, tmp_path):
    first = build(name, 3, size=64)
    save_file(first.state_dict(), tmp_path / "best.safetensors")
    again = build(name, 3, size=64, weights=tmp_path / "best.safetensors")
    torch.testing.assert_close(again.state_dict(), first.state_dict())


def test_weights_of_another_network_are_refused(resnet18_file):
    with pytest.raises(ModelError, match="another network"):
        build("mobilenet_v3_small", 3, weights=resnet18_file[1])
    with pytest.raises(ModelError, match="another network"):
        build("resnet34", 3, weights=resnet18_file[1])


def test_the_dots_too_many_of_published_densenets_are_understood(tmp_path):
    network = models.densenet121(weights=None)
    published = re.compile(r"(denselayer\d+\.(?:norm|conv))([12]\.)")
    state = {published.sub(r"\1.\2", name): tensor for name, tensor in network.state_dict().items()}
    assert "features.denseblock1.denselayer1.norm.1.weight" in state
    torch.save(state, tmp_path / "w.pth")
    classifier = build("densenet121", 3, weights=tmp_path / "w.pth")
    torch.testing.assert_close(classifier.backbone.features.state_dict(), network.features.state_dict())


def test_mnasnets_weights_load_although_it_asks_for_their_version(tmp_path):
    network = models.mnasnet0_5(weights=None)
    torch.save(network.state_dict(), tmp_path / "w.pth")
    classifier = build("mnasnet0_5", 3, weights=tmp_path / "w.pth")
    torch.testing.assert_close(classifier.backbone.layers.state_dict(), network.layers.state_dict())


def test_training_only_branches_are_passed_over_under_a_prefix(tmp_path):
    network = models.googlenet(weights=None, init_weights=False, aux_logits=True)
    torch.save({f"module.{name}": tensor for name, tensor in network.state_dict().items()}, tmp_path / "w.pth")
    classifier = build("googlenet", 3, weights=tmp_path / "w.pth")
    assert classifier.loaded.complete
    assert (classifier.loaded.prefix, classifier.loaded.outside) == ("module.", 0)


@pytest.mark.parametrize(("name", "size", "side"), [("vit_h_14", None, 518), ("vit_b_32", 96, 96)])
def test_a_vision_transformer_is_built_for_its_size(name, size, side):
    with torch.device("meta"):
        classifier = build(name, 3, size=size)
        assert classifier(torch.zeros(2, side, side, 3, dtype=torch.uint8)).shape == (2, 3)


def test_as_it_is_it_needs_weights():
    with pytest.raises(ModelError, match="cannot be used with its own classes"):
        build("resnet18", None)


def test_as_it_is_it_needs_weights_of_its_own_head(tmp_path):
    torch.save(models.resnet18(weights=None, num_classes=7).state_dict(), tmp_path / "w.pth")
    with pytest.raises(ModelError, match="another number of classes"):
        build("resnet18", None, weights=tmp_path / "w.pth")


def test_imagenets_class_names_are_unique():
    names = imagenet_classes()
    published = models.ResNet18_Weights.DEFAULT.meta["categories"]
    assert len(set(names)) == len(names) == 1000
    assert {k for k, name in enumerate(names) if name != published[k]} <= {517, 639}
    usual = [{134: "crane", 517: "crane", 638: "maillot", 639: "maillot"}.get(k, str(k)) for k in range(1000)]
    assert len(set(qualified(usual))) == 1000
    assert (qualified(usual)[134], qualified(usual)[517]) == ("crane", "crane (n03126707)")


def test_what_torch_tells_about_a_download_is_no_result(capsys):
    class Published:
        url = "https://example.org/weights.pth"

        def get_state_dict(self, **options):
            sys.stdout.write("Downloading: weights.pth\n")
            raise OSError("no network")

    with pytest.raises(ModelError, match="cannot be downloaded"):
        torchvision_zoo._download(Published())
    assert capsys.readouterr() == ("", "Downloading: weights.pth\n")
