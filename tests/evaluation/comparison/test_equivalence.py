import numpy as np
import pytest
from hypothesis import assume, given
from hypothesis import strategies as st
from scipy.optimize import minimize_scalar
from scipy.stats import norm

from clsbench.errors import OptionError
from clsbench.evaluation.comparison.equivalence import deviation, equivalence, one_sided, score
from clsbench.evaluation.comparison.paired import Flips

COUNTS = st.integers(0, 500)


def likeliest_loss(lost, gained, total, margin):
    """The probability of a loss that explains the counts best, where gains exceed losses by the margin."""

    def surprise(q):
        chances = np.array([q, q + margin, 1 - 2 * q - margin])
        return -np.sum(np.array([lost, gained, total - lost - gained]) * np.log(chances))

    return minimize_scalar(surprise, bounds=(0, (1 - margin) / 2), options={"xatol": 1e-12}).x


@pytest.mark.parametrize(
    ("lost", "gained", "total", "margin"),
    [(10, 20, 500, 0.005), (1, 0, 200, 0.02), (40, 5, 1000, 0.05), (300, 300, 1000, 0.3), (2000, 2500, 100_000, 0.01)],
)
def test_the_deviation_is_that_of_the_restricted_maximum_likelihood(lost, gained, total, margin):
    q = likeliest_loss(lost, gained, total, margin)
    want = np.sqrt(total * (2 * q + margin - margin**2))
    assert float(deviation(lost, gained, total, margin)) == pytest.approx(want, rel=1e-6)


@pytest.mark.parametrize("limit", [0.0054, 0.1240])
def test_tangos_interval_ends_where_the_statistic_is_the_quantile(limit):
    # M. Cavo et al. (2012): 161 patients, 6 changes one way, 16 the other. R's contingencytables
    # (Fagerland, Lydersen and Laake) gives Tango's 95 % interval as 0.0054 to 0.1240.
    z = (16 - 6 - 161 * limit) / float(deviation(6, 16, 161, limit))
    assert abs(z) == pytest.approx(norm.ppf(0.975), abs=0.002)


@given(COUNTS, COUNTS, st.floats(0.001, 0.05))
def test_p_values_are_the_normal_tails_of_the_score(lost, gained, margin):
    flips = Flips(8000, lost, gained, 1000)
    not_worse, not_better = one_sided(flips, margin)
    assert not_worse == pytest.approx(norm.cdf(score(gained, lost, flips.total, margin)), abs=1e-15)
    assert not_better == pytest.approx(norm.cdf(score(lost, gained, flips.total, margin)), abs=1e-15)


@given(COUNTS, COUNTS, st.integers(0, 5000))
def test_the_smallest_margin_parts_equivalent_from_not_shown(lost, gained, both):
    flips = Flips(both, lost, gained, 20)
    least = equivalence(flips).smallest_margin
    assume(least is not None)
    assert equivalence(flips, least * 1.0001).equivalent
    assert not equivalence(flips, least * 0.9999).equivalent


@given(COUNTS, COUNTS)
def test_turning_the_models_turns_the_tests(lost, gained):
    one, other = equivalence(Flips(5000, lost, gained, 100)), equivalence(Flips(5000, gained, lost, 100))
    assert (one.p_not_worse, one.p_not_better) == (other.p_not_better, other.p_not_worse)
    assert (one.equivalent, one.smallest_margin) == (other.equivalent, other.smallest_margin)


def test_a_better_model_is_not_worse_and_not_equivalent():
    found = equivalence(Flips(9000, 50, 250, 700))
    assert found.not_worse
    assert not found.equivalent
    assert found.smallest_margin > 2


@pytest.mark.parametrize("total", [1, 10, 200, 500])
def test_the_same_answers_on_few_images_are_no_proof(total):
    found = equivalence(Flips(total, 0, 0, 0), 0.5)
    assert not found.equivalent
    assert not found.not_worse


def test_the_same_answers_on_many_images_are():
    assert equivalence(Flips(0, 0, 0, 1000)).equivalent


@pytest.mark.parametrize("flips", [Flips(0, 0, 200, 0), Flips(0, 200, 0, 0), Flips(0, 0, 1, 0)])
def test_opposite_models_are_equivalent_at_no_margin(flips):
    found = equivalence(flips, 99)
    assert not found.equivalent
    assert found.smallest_margin is None


@pytest.mark.parametrize("margin", [0, -1, 100, float("nan")])
def test_a_margin_lies_between_0_and_100_points(margin):
    with pytest.raises(OptionError, match="margin"):
        equivalence(Flips(1, 0, 0, 0), margin)


def test_json_holds_the_verdict_beside_the_numbers():
    assert equivalence(Flips(9000, 20, 20, 960), 1).to_json() == {
        "margin": 1,
        "p_not_worse": pytest.approx(0, abs=1e-9),
        "p_not_better": pytest.approx(0, abs=1e-9),
        "smallest_margin": pytest.approx(0.109, abs=0.005),
        "p": pytest.approx(0, abs=1e-9),
        "equivalent": True,
        "not_worse": True,
    }


@pytest.mark.parametrize(
    ("total", "margin", "flips"),
    [(200, 0.05, 0.1), (273, 0.01, 0.01), (552, 0.005, 0.005), (2000, 0.005, 0.01), (10_000, 0.005, 0.04),
     (100_000, 0.005, 0.04), (100_000, 0.005, 0.2)],
)  # fmt: skip
def test_models_that_differ_by_the_margin_pass_as_equivalent_in_at_most_5_percent(total, margin, flips):
    shares = [(flips - margin) / 2, 1 - flips, (flips + margin) / 2]
    drawn = np.random.default_rng(0).multinomial(total, shares, size=50_000)
    lost, gained = drawn[:, 0], drawn[:, 2]
    worst = np.maximum(score(lost, gained, total, margin), score(gained, lost, total, margin))
    assert np.mean(worst < norm.ppf(0.05)) < 0.0525


def test_models_that_do_not_differ_pass_where_images_are_many():
    drawn = np.random.default_rng(0).multinomial(10_000, [0.01, 0.98, 0.01], size=300)
    passed = [equivalence(Flips(same, lost, gained, 0)).equivalent for lost, same, gained in drawn.tolist()]
    assert np.mean(passed) > 0.9
