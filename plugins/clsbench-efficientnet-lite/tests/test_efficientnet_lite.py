import tarfile
from pathlib import Path

import numpy as np
import pytest
import torch

from clsbench import ImageTransform, ModelError
from clsbench.testing import installed, plugin_checks

NAME = "efficientnet-lite/efficientnet-lite0"
PHOTOS = Path(__file__).parents[4] / "shared" / "data" / "hymenoptera.tar"


@pytest.fixture(scope="module")
def pretrained():
    return installed("model", NAME).build(None, pretrained=True).eval()


def photos(kind, count):
    """The bytes of validation photos of ants or bees."""
    with tarfile.open(PHOTOS) as archive:
        names = sorted(name for name in archive.getnames() if f"val/{kind}/" in name and name.endswith(".jpg"))
        return [archive.extractfile(name).read() for name in names[:count]]


@pytest.mark.parametrize("check", plugin_checks("efficientnet-lite", options={"model": {"size": 96}}), ids=str)
def test_plugin(check):
    check()


def test_the_transform_is_the_published_one():
    half = (0.5, 0.5, 0.5)
    assert installed("model", NAME).build(3).transform == ImageTransform(
        size=(224, 224), crop_fraction=224 / 256, interpolation="bicubic", mean=half, std=half
    )


def test_it_takes_images_of_another_size():
    network = installed("model", NAME).build(3, size=96).eval()
    assert network.transform.size == (96, 96)
    assert network(torch.zeros(2, 96, 96, 3, dtype=torch.uint8)).shape == (2, 3)


def test_as_it_is_it_has_imagenets_classes(pretrained):
    assert len(pretrained.classes) == pretrained.head.out_features == 1000
    assert {"ant", "bee"} <= set(pretrained.classes)


@pytest.mark.skipif(not PHOTOS.is_file(), reason=f"the photos are not here: {PHOTOS}")
@pytest.mark.parametrize(("kind", "name"), [("ants", "ant"), ("bees", "bee")])
def test_as_it_is_it_recognises_insects(pretrained, kind, name):
    from clsbench import BytesEntry
    from clsbench.images.loader import ImageLoader

    loader = ImageLoader(pretrained.transform)
    images = np.stack([loader(BytesEntry("", photo)) for photo in photos(kind, 6)])
    with torch.inference_mode():
        best = pretrained(torch.from_numpy(images)).topk(5).indices
    assert sum(name in {pretrained.classes[k] for k in row} for row in best.tolist()) >= 5
    assert sum(pretrained.classes[row[0]] == name for row in best.tolist()) >= 3


def test_pretrained_weights_give_a_new_head_its_backbone(pretrained):
    started = installed("model", NAME).build(2, pretrained=True)
    torch.testing.assert_close(started.backbone.state_dict(), pretrained.backbone.state_dict())
    assert started.head.out_features == 2


def test_as_it_is_it_needs_weights():
    with pytest.raises(ModelError, match="needs weights"):
        installed("model", NAME).build(None)
