"""Resizing with torch, against Pillow."""

import numpy as np
import pytest
from PIL import Image

from clsbench import ImageTransform

torch = pytest.importorskip("torch")
pytest.importorskip("nvidia.nvimgcodec")


def pictures():
    """Smooth and hard-edged ones, lying and standing, larger and smaller than the network's input."""
    random = np.random.default_rng(0)
    for height, width in ((90, 140), (140, 61), (20, 33), (24, 200)):
        edges = 255 * random.integers(0, 2, (height // 4 + 1, width // 4 + 1, 3), np.uint8)
        yield np.kron(edges, np.ones((4, 4, 1), np.uint8))[:height, :width].copy()
        rough = random.integers(0, 256, (5, 7, 3), np.uint8)
        yield np.array(Image.fromarray(rough).resize((width, height), Image.Resampling.BICUBIC))


@pytest.mark.parametrize("name", ["bilinear", "bicubic", "lanczos"])
@pytest.mark.parametrize("transform", [
    ImageTransform(size=(32, 32), crop_fraction=0.875), ImageTransform(size=(24, 40), resize="squash"),
])  # fmt: skip
def test_it_is_pillows_resize(name, transform):
    from clsbench_nvimgcodec.resizing import resize_into

    from clsbench.images.resize import resize_pillow

    for picture in pictures():
        geometry = transform.geometry(picture.shape[1], picture.shape[0])
        slot = np.zeros((*geometry.size, 3), np.uint8)
        resize_into(torch.from_numpy(picture), geometry, slot, name)
        reference = resize_pillow(picture, geometry, name)
        assert np.abs(slot.astype(int) - reference).max() <= 2
