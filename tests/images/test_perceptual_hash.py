import numpy as np
import pytest
from PIL import Image

from clsbench.images.perceptual_hash import perceptual_hashes, thumbnail
from clsbench.images.shapes import shorter_side

WHOLE = (0.0, 0.0, 1.0, 1.0)


def perceptual_hash(pixels, box):
    return perceptual_hashes(thumbnail(pixels, box)[None])[0]


def picture(seed, height=90, width=120):
    """Something with structure at all scales, as a photo has it: uint8 (H, W, 3)."""
    random, total = np.random.default_rng(seed), np.zeros((height, width))
    for side in (2, 4, 8, 16):
        noise = Image.fromarray(random.normal(size=(side, side)).astype(np.float32))
        total += np.asarray(noise.resize((width, height), Image.Resampling.BICUBIC)) / side**0.5
    grey = np.clip(128 + 50 * total / total.std(), 0, 255).astype(np.uint8)
    return np.repeat(grey[:, :, None], 3, axis=2)


def distance(a, b):
    return int(np.bitwise_count(a ^ b).sum())


def test_the_hashes_are_imagehashs_with_the_low_frequencies_first():
    imagehash = pytest.importorskip("imagehash")
    random = np.random.default_rng(0)
    pictures = np.stack([picture(seed, 32, 32) * random.uniform(0.5, 1, 3) for seed in range(5)]).astype(np.uint8)
    for pixels, found in zip(pictures, perceptual_hashes(pictures), strict=True):
        bits = imagehash.phash(Image.fromarray(pixels), hash_size=16, highfreq_factor=2).hash
        low = np.zeros((16, 16), bool)
        low[:8, :8] = True
        want = np.concatenate([bits[low], bits[~low]])
        # A few bits are of frequencies right at the median, where grey levels are rounded differently.
        assert (np.unpackbits(found.view(np.uint8)).astype(bool) != want).sum() <= 4


def test_a_picture_made_smaller_stays_near_and_another_does_not():
    pixels = picture(1)
    smaller = np.asarray(Image.fromarray(pixels).resize((84, 63)))
    assert distance(perceptual_hash(pixels, WHOLE), perceptual_hash(smaller, WHOLE)) <= 16
    assert distance(perceptual_hash(pixels, WHOLE), perceptual_hash(picture(2), WHOLE)) > 60


def test_a_box_is_hashed_as_if_cut_out():
    pixels = picture(3, 100, 100)
    cut = np.ascontiguousarray(pixels[10:90, 20:80])
    assert distance(perceptual_hash(pixels, (0.2, 0.1, 0.8, 0.9)), perceptual_hash(cut, WHOLE)) <= 16


@pytest.mark.parametrize("form", ["PNG", "JPEG", "BMP"])
def test_the_shorter_side_comes_from_the_header(form):
    import io

    file = io.BytesIO()
    Image.new("RGB", (70, 40)).save(file, form)
    assert shorter_side(file.getvalue()) == 40
    assert shorter_side(np.zeros((9, 8, 3), np.uint8)) == 8
    assert shorter_side(b"no image") == 0
