import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy.stats import binomtest

from clsbench.predictions.values import wilson


@given(st.integers(1, 100_000), st.floats(0, 1), st.sampled_from([0.5, 0.9, 0.95, 0.99]))
def test_the_interval_is_scipys(total, fraction, confidence):
    successes = round(fraction * total)
    want = binomtest(successes, total).proportion_ci(confidence, method="wilson")
    assert wilson(successes, total, confidence=confidence) == pytest.approx((want.low, want.high), abs=1e-9)


@pytest.mark.parametrize("total", [1, 7, 10_000])
def test_all_and_none_reach_the_ends_exactly(total):
    assert wilson(0, total)[0] == 0.0
    assert wilson(total, total)[1] == 1.0


def test_without_trials_nothing_is_known():
    assert wilson(0, 0) == (0.0, 1.0)


@pytest.mark.parametrize("total", [20, 100, 1000])
def test_the_interval_covers_the_truth_as_often_as_it_says(total):
    """Averaged over true proportions: at a single one the counts are too coarse for exactly 95 %."""
    random = np.random.default_rng(total)
    truths = random.random(20_000)
    bounds = np.array([wilson(successes, total) for successes in range(total + 1)])
    low, high = bounds[random.binomial(total, truths)].T
    covered = ((low <= truths) & (truths <= high)).mean()
    assert covered == pytest.approx(0.95, abs=0.01)
