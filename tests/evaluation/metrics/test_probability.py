import math
from dataclasses import replace

import numpy as np
import pytest
from scipy.stats import binomtest
from sklearn.calibration import calibration_curve
from sklearn.metrics import brier_score_loss, log_loss

from clsbench.errors import OptionError
from clsbench.evaluation.metrics import probability as module
from clsbench.predictions.values import json_of
from clsbench.text import counted


def probability(outcomes, **options):
    """Its values as JSON."""
    return json_of(module.probability(outcomes, **options))


def build(**options):
    """The metric with options; its values as JSON."""
    metric = module.build(**options)
    return lambda outcomes: json_of(metric(outcomes))


def test_log_loss_is_sklearns(case, outcomes):
    labels, probabilities = case
    got = probability(outcomes)["log_loss"]
    if probabilities.shape[1] == 1:  # sklearn refuses
        assert got == pytest.approx(0, abs=1e-9)
    else:
        want = log_loss(labels, y_proba=probabilities.astype(float), labels=range(probabilities.shape[1]))
        assert got == pytest.approx(want, abs=1e-9)


def test_brier_is_sklearns_not_halved(case, outcomes):
    labels, probabilities = case
    classes = probabilities.shape[1]
    got = probability(outcomes)["brier"]
    if classes == 1:
        assert got == 0
        return
    # For two classes sklearn wants the probability of the second one.
    values = probabilities.astype(float)[:, 1] if classes == 2 else probabilities.astype(float)
    options = {"pos_label": 1} if classes == 2 else {"labels": range(classes)}
    want = brier_score_loss(labels, y_proba=values, scale_by_half=False, **options)
    assert got == pytest.approx(want, abs=1e-9)


@pytest.mark.parametrize("bins", [1, 4, 15])
def test_bins_are_sklearns_calibration_curve(outcomes, bins):
    correct = outcomes.predicted == outcomes.labels
    rows = probability(outcomes, bins=bins)["reliability"]
    accuracy, confidence = calibration_curve(
        correct, outcomes.confidence, n_bins=bins, strategy="quantile", pos_label=1
    )
    assert [row["accuracy"] for row in rows] == pytest.approx(accuracy.tolist(), abs=1e-9)
    assert [row["confidence"] for row in rows] == pytest.approx(confidence.tolist(), abs=1e-9)


def test_ece_is_the_weighted_gap_by_its_definition(outcomes):
    got = probability(outcomes)
    gap, correct = 0.0, outcomes.predicted == outcomes.labels
    for row in got["reliability"]:
        inside = (outcomes.confidence >= row["from"]) & (outcomes.confidence <= row["to"])
        assert inside.sum() == row["count"]
        gap += inside.mean() * abs(correct[inside].mean() - outcomes.confidence[inside].mean())
    assert got["ece"] == pytest.approx(gap, abs=1e-9)


def test_intervals_of_the_bins_are_scipys(outcomes):
    for row in probability(outcomes)["reliability"]:
        want = binomtest(round(row["accuracy"] * row["count"]), row["count"]).proportion_ci(method="wilson")
        assert (row["low"], row["high"]) == pytest.approx((want.low, want.high), abs=1e-9)


def test_bins_have_equal_mass_and_do_not_depend_on_the_order(outcomes_of):
    random = np.random.default_rng(0)
    best = 0.5 + random.permutation(1500) / 3001
    probabilities = np.stack([best, 1 - best], axis=1)
    labels = random.integers(0, 2, 1500)
    shuffled = random.permutation(1500)
    got = probability(outcomes_of(labels, probabilities))
    assert [row["count"] for row in got["reliability"]] == [100] * 15
    again = probability(outcomes_of(labels[shuffled], probabilities[shuffled]))
    assert again["ece"] == pytest.approx(got["ece"], abs=1e-12)


def test_a_zero_for_the_true_class_costs_what_float64_allows(outcomes_of):
    got = probability(outcomes_of([1], [[1, 0]]))["log_loss"]
    assert got == pytest.approx(-math.log(np.finfo(float).eps))


def test_without_all_probabilities_only_brier_is_missing(bare):
    got = probability(bare)
    assert "--probabilities" in got["brier"]["reason"]
    assert {"log_loss", "ece"} == {name for name, value in got.items() if isinstance(value, float)}


def test_unknown_confidences_are_a_reason(outcomes):
    unknown = np.full(len(outcomes.labels), np.nan)
    got = probability(replace(outcomes, confidence=unknown, label_confidence=unknown, probabilities=None))
    assert all(counted(len(unknown), "image") in got[name]["reason"] for name in ("log_loss", "ece", "reliability"))


def test_the_number_of_bins_is_an_option(outcomes):
    assert len(build(bins=1)(outcomes)["reliability"]) == 1
    with pytest.raises(OptionError, match="at least one bin"):
        build(bins=0)
