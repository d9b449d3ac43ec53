import numpy as np
import pytest
from scipy.stats import binomtest
from sklearn.metrics import accuracy_score, top_k_accuracy_score

from clsbench.evaluation.metrics import accuracy as module
from clsbench.predictions.block import Predictions
from clsbench.predictions.outcomes import OutcomeCollector
from clsbench.predictions.values import json_of


def accuracy(outcomes):
    """Its values as JSON."""
    return json_of(module.accuracy(outcomes))


def outcomes(labels, logits):
    labels, logits = np.asarray(labels), np.asarray(logits, np.float32)
    collector = OutcomeCollector(tuple(f"class {k}" for k in range(logits.shape[1])))
    names = [str(i) for i in range(len(labels))]
    collector.add(Predictions(names, logits, [None] * len(labels), np.asarray(labels)))
    return collector.outcomes()


@pytest.mark.parametrize("classes", [2, 5, 6, 40])
@pytest.mark.parametrize("seed", range(3))
def test_top1_and_top5_are_sklearns(classes, seed):
    random = np.random.default_rng(seed)
    labels, logits = random.integers(0, classes, 200), random.normal(size=(200, classes))
    got = accuracy(outcomes(labels, logits))
    assert got["top1"]["value"] == pytest.approx(accuracy_score(labels, logits.argmax(axis=1)))
    if classes > 5:
        want = top_k_accuracy_score(labels, logits, k=5, labels=np.arange(classes))
        assert got["top5"]["value"] == pytest.approx(want)
    else:
        assert "top5" not in got


@pytest.mark.parametrize(
    ("labels", "correct"),
    [([1], 1), ([0], 0), ([1, 1, 1, 1], 4), ([6, 6, 6], 0), ([0, 1, 2, 3, 4, 5, 6], 1)],
    ids=["one right", "one wrong", "all right", "all wrong", "a constant answer"],
)
def test_degenerate_outcomes(labels, correct):
    got = accuracy(outcomes(labels, np.tile([0, 9, 0, 0, 0, 0, 0], (len(labels), 1))))["top1"]
    interval = binomtest(correct, len(labels)).proportion_ci(method="wilson")
    assert (got["correct"], got["total"], got["value"]) == (correct, len(labels), correct / len(labels))
    assert (got["low"], got["high"]) == pytest.approx((interval.low, interval.high), abs=1e-9)


def test_top5_counts_the_true_class_among_the_best_five():
    logits = np.arange(7)[::-1]
    got = accuracy(outcomes([0, 4, 5, 6], np.tile(logits, (4, 1))))
    assert (got["top1"]["correct"], got["top5"]["correct"]) == (1, 2)
