import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy.stats import binomtest, bootstrap
from sklearn.metrics import cohen_kappa_score
from statsmodels.stats.contingency_tables import mcnemar as statsmodels_mcnemar
from statsmodels.stats.multitest import multipletests

from clsbench.evaluation.comparison.paired import Flips, bootstrap_interval, count_flips, holm, kappa, mcnemar

COUNTS = st.integers(0, 400)


def draws(total, flips, difference, size, seed=0):
    """Flips of `size` comparisons in which a share `flips` of the images flips: int (size,) lost, gained."""
    shares = [(flips - difference) / 2, 1 - flips, (flips + difference) / 2]
    drawn = np.random.default_rng(seed).multinomial(total, shares, size=size)
    return drawn[:, 0], drawn[:, 2]


def test_flips_are_counted_each_way():
    right_a = np.array([1, 1, 1, 0, 0, 0, 0, 0], bool)
    right_b = np.array([1, 1, 0, 1, 1, 1, 0, 0], bool)
    flips = count_flips(right_a, right_b)
    assert flips == Flips(both_right=2, lost=1, gained=3, both_wrong=2)
    assert (flips.total, flips.difference) == (8, 0.25)


@given(COUNTS, COUNTS)
def test_mcnemar_is_that_of_statsmodels_and_of_scipy(lost, gained):
    want = statsmodels_mcnemar([[10, lost], [gained, 10]], exact=True).pvalue if lost + gained else 1.0
    assert float(mcnemar(lost, gained)) == pytest.approx(want, rel=1e-9, abs=1e-300)
    if lost + gained:
        assert want == pytest.approx(binomtest(lost, lost + gained).pvalue)


def test_mcnemar_takes_many_counts_and_large_ones():
    lost, gained = np.array([[0, 3], [498_500, 0]]), np.array([[0, 12], [501_500, 1]])
    want = [[1.0, binomtest(3, 15).pvalue], [binomtest(498_500, 1_000_000).pvalue, 1.0]]
    assert mcnemar(lost, gained) == pytest.approx(np.array(want), rel=1e-9)


@given(st.lists(st.floats(0, 1), min_size=1, max_size=30))
def test_holm_is_that_of_statsmodels(p_values):
    assert holm(p_values) == pytest.approx(multipletests(p_values, method="holm")[1], abs=1e-12)


def test_holm_of_nothing_is_nothing():
    assert holm([]).size == 0


@pytest.mark.parametrize("classes", [2, 7, 300])
def test_kappa_is_sklearns(classes):
    random = np.random.default_rng(classes)
    a = random.integers(-1, classes, 500)
    b = np.where(random.random(500) < 0.6, a, random.integers(-1, classes, 500))
    assert kappa(a, b) == pytest.approx(cohen_kappa_score(a, b), abs=1e-12)


def test_kappa_of_degenerate_answers():
    constant, other = np.zeros(5, int), np.arange(5)
    assert kappa(constant, constant) is None
    assert kappa(constant, other) == pytest.approx(cohen_kappa_score(constant, other), abs=1e-12)
    assert kappa(other, other) == 1
    assert kappa(-np.ones(3, int), np.zeros(3, int)) == 0


def test_the_bootstrap_interval_is_scipys_where_flips_are_many():
    pairs = np.repeat([-1, 0, 1], [130, 1700, 170])
    want = bootstrap(
        (pairs,), np.mean, n_resamples=10_000, batch=500, method="percentile", rng=np.random.default_rng(1)
    ).confidence_interval
    # Two flips of 2,000: the imaginary ones, and the chance of 10,000 resamples.
    assert bootstrap_interval(Flips(1000, 130, 170, 700)) == pytest.approx((want.low, want.high), abs=0.001)


def test_the_bootstrap_interval_is_reproducible_and_turns_with_the_models():
    flips, turned = Flips(10_000, 400, 500, 1000), Flips(10_000, 500, 400, 1000)
    assert bootstrap_interval(flips) == bootstrap_interval(flips)
    assert bootstrap_interval(flips) != bootstrap_interval(flips, seed=1)
    low, high = bootstrap_interval(turned)
    assert bootstrap_interval(flips) == (-high, -low)
    narrow = bootstrap_interval(flips, confidence=0.5)
    assert bootstrap_interval(flips)[0] < narrow[0] < flips.difference < narrow[1] < bootstrap_interval(flips)[1]


@pytest.mark.parametrize(
    "flips",
    [
        Flips(1, 0, 0, 0),
        Flips(0, 0, 1, 0),
        Flips(0, 1, 0, 0),
        Flips(10, 0, 0, 0),
        Flips(0, 0, 0, 10),
        Flips(0, 0, 9, 0),
    ],
)
def test_a_few_images_prove_little(flips):
    low, high = bootstrap_interval(flips)
    assert -1 <= low <= flips.difference <= high <= 1
    assert high - low > 0.3


@pytest.mark.parametrize(("total", "flips"), [(50, 0.2), (200, 0.04), (1000, 0.01), (10_000, 0.04), (100_000, 0.2)])
def test_noise_is_called_a_difference_in_at_most_5_percent(total, flips):
    assert np.mean(mcnemar(*draws(total, flips, 0.0, size=50_000)) < 0.05) < 0.0525


@pytest.mark.parametrize(
    ("total", "flips", "difference"),
    [(200, 0.01, 0.005), (200, 0.01, 0.01), (200, 0.1, 0.05), (1000, 0.04, 0.0), (10_000, 0.04, 0.01)],
)
def test_the_bootstrap_interval_covers_the_true_difference(total, flips, difference):
    outcomes = np.stack(draws(total, flips, difference, size=2000), axis=1)
    cases, times = np.unique(outcomes, axis=0, return_counts=True)
    covered = 0
    for (lost, gained), count in zip(cases.tolist(), times.tolist(), strict=True):
        low, high = bootstrap_interval(Flips(total - lost - gained, lost, gained, 0), resamples=2000)
        covered += count * (low - 1e-12 <= difference <= high + 1e-12)
    # Few flips make it cautious: their number is whole.
    assert 0.94 <= covered / 2000 <= (1.0 if total * flips < 20 else 0.97)
