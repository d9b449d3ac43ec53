"""EfficientNet-Lite0, its preprocessing lost: photos of ants and bees say what it was."""

import numpy as np
import torch

from clsbench.adopting.candidates import candidates
from clsbench.adopting.checking import check_transforms
from clsbench.api.observer import Observer
from clsbench.images.entries import FileEntry
from clsbench.testing import installed
from clsbench.transform import ImageTransform, normalise


def test_photos_name_the_normalisation_of_lite0(hymenoptera):
    """32 photos do for these 6; all 96 on all photos: benchmarks/adopt_check.py."""
    network = installed("model", "efficientnet-lite/efficientnet-lite0").build(None, pretrained=True).eval()
    photos = sorted(hymenoptera.rglob("*.jpg"))
    labels = np.array([network.classes.index(photo.parent.name.removesuffix("s")) for photo in photos])

    torch.set_num_threads(1)  # tests share the cores

    def logits(images, transform):
        planes = torch.from_numpy(np.ascontiguousarray(normalise(images, transform).transpose(0, 3, 1, 2)))
        with torch.inference_mode():
            return network.head(network.backbone(planes)).numpy()

    base = ImageTransform(size=(224, 224), crop_fraction=0.875, interpolation="bicubic")
    found = check_transforms(
        logits, [FileEntry(str(photo), str(photo)) for photo in photos], labels,
        candidates(base, ["resize", "crop_fraction", "interpolation", "color"]), progress=Observer(), limit=32,
    )  # fmt: skip
    assert found.best.transform == network.transform
    assert found.best.accuracy.value > 0.75
