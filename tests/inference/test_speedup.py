"""Two backends in turns: the ratio is of the rounds, whatever the machine does meanwhile."""

import time

import numpy as np
import pytest

from clsbench.card import ModelCard
from clsbench.images.entries import PixelsEntry
from clsbench.inference.backend import Backend, DeviceInfo
from clsbench.inference.speedup import MOST_ROUNDS, Rates, compare_speed
from clsbench.transform import ImageTransform


class Slow(Backend):
    """Sleeps for each image."""

    device, streams, batch_size = DeviceInfo(device="cpu", provider="test"), 1, 4

    def __init__(self, seconds):
        self.seconds = seconds

    def __call__(self, images):
        time.sleep(self.seconds * len(images))
        return np.zeros((len(images), 2), np.float32)

    def close(self):
        pass


def test_the_ratio_is_that_of_both_and_the_rounds_are_bounded():
    card = ModelCard(classes=("a", "b"), transform=ImageTransform(size=(4, 4)))
    entries = [PixelsEntry(str(k), np.zeros((4, 4, 3), np.uint8)) for k in range(3)]
    heard = []
    found = compare_speed(Slow(3e-3), Slow(1e-3), card, entries, window=0.03, on_round=heard.append)
    assert found.model_only.ratio == pytest.approx(3, rel=0.35)
    assert 1.5 < found.end_to_end.ratio < 4
    assert found.least == min(found.model_only.ratio, found.end_to_end.ratio)
    assert 3 <= len(heard) <= MOST_ROUNDS
    assert len(found.model_only.parent) == len(found.end_to_end.file) == heard[-1]


@pytest.mark.parametrize(
    ("file", "ratio", "stable"),
    [
        ([2.0, 2.1, 2.0], 2.0, True),
        ([2.0, 3.0, 2.0], 2.0, False),
        ([9.0, 2.0, 2.1, 2.0], 2.05, True),
        ([2.0], 2.0, False),
    ],
)
def test_rounds_have_to_agree(file, ratio, stable):
    rates = Rates(parent=[1.0] * len(file), file=file)
    assert (rates.ratio, rates.stable) == (ratio, stable)
