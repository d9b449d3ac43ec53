"""A threshold for a precision, against an exhaustive search."""

import numpy as np
import pytest
from scipy.special import softmax
from statsmodels.stats.proportion import proportion_confint

from clsbench.card import ModelCard
from clsbench.errors import DataError, ModelError
from clsbench.exporting.abstention import choose_threshold, fewest_kept
from clsbench.exporting.calibration import LabelledLogits
from clsbench.predictions.abstaining import abstains
from clsbench.transform import ImageTransform


@pytest.fixture
def known():
    random = np.random.default_rng(3)
    logits = 3 * random.normal(size=(600, 4))
    labels = (softmax(logits, axis=1).cumsum(axis=1) > random.random((600, 1))).argmax(axis=1)
    return LabelledLogits(logits.astype(np.float32), labels)


def precision_at(known, below, temperature=1.0):
    """Precision and number of the images at or above a threshold, by scipy."""
    values = softmax(known.logits.astype(float) / temperature, axis=1).max(axis=1).round(6)
    kept = values >= below
    return (known.logits.argmax(axis=1) == known.labels)[kept].mean(), int(kept.sum())


@pytest.mark.parametrize("temperature", [None, 1.5])
@pytest.mark.parametrize("target", [0.85, 0.9, 0.95])
def test_it_is_the_smallest_threshold_that_reaches_the_precision(known, target, temperature):
    below, found = choose_threshold(known, target, temperature=temperature)
    assert precision_at(known, below, temperature or 1.0)[0] >= target
    values = softmax(known.logits.astype(float) / (temperature or 1.0), axis=1).max(axis=1).round(6)
    lower = [value for value in np.unique(values) if value < below - 1e-6]
    assert max(precision_at(known, value, temperature or 1.0)[0] for value in lower) < target
    assert (found.target, found.images) == (target, 600)


def test_precision_and_coverage_are_of_images_that_the_threshold_was_not_chosen_on(known):
    below, found = choose_threshold(known, 0.9)
    assert found.precision == found.correct / found.kept
    assert found.coverage == found.kept / 600
    assert found.precision == pytest.approx(precision_at(known, below)[0], abs=0.05)
    for got, right, total in (
        (found.precision_interval, found.correct, found.kept), (found.coverage_interval, found.kept, 600)
    ):  # fmt: skip
        assert got == pytest.approx(proportion_confint(right, total, method="wilson"))


def test_held_out_precision_is_that_of_new_images(known):
    """On noise the best of many thresholds looks good where it was chosen, and is not."""
    random, chosen, held_out = np.random.default_rng(0), [], []
    for seed in range(20):
        noise = LabelledLogits(random.normal(size=(80, 2)).astype(np.float32), random.integers(0, 2, 80))
        try:
            below, found = choose_threshold(noise, 0.55, seed=seed)
        except DataError:
            continue
        chosen.append(precision_at(noise, below)[0])
        held_out.append(found.precision)
    assert np.mean(chosen) > 0.55
    assert np.mean(held_out) == pytest.approx(0.5, abs=0.04)


def test_a_model_that_is_good_enough_keeps_every_image(known):
    right = LabelledLogits(known.logits, known.logits.argmax(axis=1))
    below, found = choose_threshold(right, 0.99)
    assert precision_at(right, below) == (1.0, 600)
    assert found.precision == 1


def test_what_cannot_be_reached_is_an_error_that_says_what_can(known):
    wrong = LabelledLogits(known.logits, known.labels ^ (np.arange(600) % 3 == 0))
    with pytest.raises(DataError, match=r"no threshold keeps images of which 0\.99") as caught:
        choose_threshold(wrong, 0.99)
    assert "at best 0." in str(caught.value)
    with pytest.raises(DataError, match=r"too few labelled images to show a precision of 0\.999") as caught:
        choose_threshold(known, 0.999)
    assert "at least 1,000" in str(caught.value)


def test_as_many_images_are_kept_as_can_tell_the_target_from_one():
    assert [fewest_kept(target) for target in (0.5, 0.95, 0.99, 0.995)] == [20, 20, 100, 200]


@pytest.mark.parametrize("below", [0, -0.1, 1.1, float("nan")])
def test_a_threshold_is_a_probability(below):
    with pytest.raises(ModelError, match="threshold"):
        ModelCard(classes=("a", "b"), transform=ImageTransform(size=(8, 8)), abstain_below=below)


def test_a_card_keeps_the_record_and_one_without_stays_as_it_was(known):
    below, found = choose_threshold(known, 0.9)
    card = ModelCard(classes=("a", "b"), transform=ImageTransform(size=(8, 8)), abstain_below=below, abstention=found)
    assert ModelCard.from_json(card.to_json()) == card
    plain = ModelCard(classes=("a", "b"), transform=ImageTransform(size=(8, 8)))
    assert not {"abstain_below", "abstention", "calibration"} & plain.to_json().keys()


def test_the_threshold_sees_what_a_file_shows():
    values = np.array([0.7999994, 0.7999996, 0.8, np.nan], np.float64)
    assert abstains(values, 0.8).tolist() == [True, False, False, False]
