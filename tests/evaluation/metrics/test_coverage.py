import math
from dataclasses import replace

import numpy as np
import pytest
from scipy.stats import binomtest
from sklearn.metrics import accuracy_score

from clsbench.evaluation.metrics import coverage as module
from clsbench.evaluation.metrics.coverage import TARGETS, THRESHOLDS
from clsbench.predictions.values import json_of


def coverage(outcomes, **options):
    """Its values as JSON."""
    return json_of(module.coverage(outcomes, **options))


def test_each_threshold_by_counting(outcomes):
    rows = coverage(outcomes)["coverage"]
    assert [row["threshold"] for row in rows] == list(THRESHOLDS)
    for row in rows:
        kept = outcomes.confidence >= row["threshold"]
        assert (row["kept"], row["coverage"]) == (kept.sum(), pytest.approx(kept.mean(), abs=1e-12))
        if not kept.any():
            assert (row["accuracy"], row["low"], row["high"]) == (None, 0, 1)
            continue
        labels, predicted = outcomes.labels[kept], outcomes.predicted[kept]
        assert row["accuracy"] == pytest.approx(accuracy_score(labels, predicted), abs=1e-12)
        want = binomtest(int((labels == predicted).sum()), len(labels)).proportion_ci(method="wilson")
        assert (row["low"], row["high"]) == pytest.approx((want.low, want.high), abs=1e-9)


def test_the_threshold_for_an_accuracy_is_the_lowest_that_reaches_it(outcomes):
    correct = outcomes.predicted == outcomes.labels
    for row in coverage(outcomes)["coverage_for_accuracy"]:
        good = [t for t in set(outcomes.confidence) if correct[outcomes.confidence >= t].mean() >= row["target"]]
        assert row["threshold"] == min(good, default=None)
        if good:
            kept = outcomes.confidence >= min(good)
            assert (row["kept"], row["accuracy"]) == (kept.sum(), pytest.approx(correct[kept].mean(), abs=1e-12))
        else:
            assert (row["kept"], row["coverage"], row["accuracy"]) == (0, 0, None)


def test_exactly_the_target_is_enough(outcomes_of):
    probabilities = np.tile([0.75, 0.25], (20, 1))
    got = coverage(outcomes_of([0] * 19 + [1], probabilities))["coverage_for_accuracy"]
    assert [(row["target"], row["threshold"]) for row in got] == [(TARGETS[0], 0.75), (TARGETS[1], None)]


def test_a_confidence_on_the_threshold_counts_in_float32_too(outcomes):
    exact = replace(outcomes, confidence=np.full(len(outcomes.labels), 0.9, np.float32))
    kept = {row["threshold"]: row["coverage"] for row in coverage(exact)["coverage"]}
    assert (kept[0.9], kept[0.95]) == (1, 0)


def test_unknown_confidences_are_a_reason(outcomes):
    confidence = outcomes.confidence.copy()
    confidence[0] = math.nan
    got = coverage(replace(outcomes, confidence=confidence))
    assert "known for 1 image" in got["coverage"]["reason"]
    assert got["coverage_for_accuracy"]["reason"]
