import numpy as np
import pytest

from clsbench.images import resize as module
from clsbench.images.resize import resize
from clsbench.transform import ImageTransform


@pytest.mark.parametrize("interpolation", ["bilinear", "bicubic", "lanczos"])
@pytest.mark.parametrize(("height", "width"), [(90, 70), (70, 90), (30, 200), (200, 30)])
@pytest.mark.parametrize("size", [(22, 22), (10, 40), (100, 120)])
def test_resampling_a_large_image_in_strips_changes_no_pixel(height, width, size, interpolation, monkeypatch):
    pixels = np.random.default_rng(0).integers(0, 256, (height, width, 3), dtype=np.uint8)
    geometry = ImageTransform(size=size).geometry(width, height)
    whole = resize(pixels, geometry, interpolation)
    monkeypatch.setattr(module, "STRIP_BYTES", 700)
    np.testing.assert_array_equal(resize(pixels, geometry, interpolation), whole)
