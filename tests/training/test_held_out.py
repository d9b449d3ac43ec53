"""The final weights on the held-out images: judged in parts, so that many classes take no gigabytes."""

import dataclasses

import numpy as np
import pytest
from torch import nn

from clsbench.predictions.block import Predictions
from clsbench.training import held_out, validation

CLASSES = ("red", "green", "blue")


@pytest.fixture
def blocks(monkeypatch):
    """How many images were judged at a time."""
    sizes = []

    class Counted(Predictions):
        def __post_init__(self):
            sizes.append(len(self.names))
            super().__post_init__()

    monkeypatch.setattr(held_out, "Predictions", Counted)
    return sizes


@pytest.mark.parametrize("recipe", ["scratch", "frozen"])
def test_outcomes_are_the_same_in_parts_of_any_size(
    recipe, blocks, normed, pictures, colours, configured, set_up_for, monkeypatch
):
    made = set_up_for(normed(), pictures(val=colours(20, split="val")), configured(recipe=recipe, batch_size=3))
    whole = held_out.outcomes_of(made, "val", CLASSES)
    assert blocks == [20]
    monkeypatch.setattr(validation, "PART", 4 * 3)  # numbers, of three classes
    parts = held_out.outcomes_of(made, "val", CLASSES)
    assert blocks[1:] == [6, 6, 6, 2]
    for name, value in dataclasses.asdict(whole).items():
        np.testing.assert_array_equal(getattr(parts, name), value)


def test_one_logit_that_is_not_finite_leaves_no_outcomes(normed, pictures, configured, set_up_for):
    classifier = normed()
    made = set_up_for(classifier, pictures(), configured())
    nn.init.constant_(classifier.head.bias, float("inf"))
    assert held_out.outcomes_of(made, "val", CLASSES) is None
