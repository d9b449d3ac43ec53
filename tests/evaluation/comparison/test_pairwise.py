import json
import re
import time
from dataclasses import replace

import numpy as np
import pytest
from sklearn.metrics import accuracy_score, cohen_kappa_score, recall_score
from statsmodels.stats.contingency_tables import mcnemar
from statsmodels.stats.multitest import multipletests

from clsbench.errors import DataError, OptionError
from clsbench.evaluation.comparison.pairwise import Answers, compare, p_text, verdict
from clsbench.predictions.values import wilson

CLASSES = ("ant", "bee", "cat", "dog")


def flipping(total, lost, gained, *, accuracy=0.8, seed=0):
    """Labels and two models of which the second has `lost` images less right and `gained` more."""
    labels = np.random.default_rng(seed).integers(0, len(CLASSES), total)
    a = (labels + (np.arange(total) >= round(accuracy * total))) % len(CLASSES)
    b = a.copy()
    b[:lost] = (labels[:lost] + 2) % len(CLASSES)
    b[total - gained :] = labels[total - gained :]
    return labels, Answers("A", a), Answers("B", b)


def said(total, lost, gained, **options):
    return verdict(compare(*flipping(total, lost, gained), CLASSES, **options))


def random_models(seed, total=3000, skill=(0.8, 0.7)):
    random = np.random.default_rng(seed)
    labels = random.integers(0, len(CLASSES), total)
    guesses = [np.where(random.random(total) < s, labels, random.integers(0, len(CLASSES), total)) for s in skill]
    return labels, Answers("A", guesses[0]), Answers("B", guesses[1])


@pytest.mark.parametrize("seed", range(3))
def test_every_number_is_that_of_sklearn_and_statsmodels(seed):
    labels, a, b = random_models(seed)
    got = compare(labels, a, b, CLASSES).to_json()
    accuracies = [accuracy_score(labels, model.predicted) for model in (a, b)]
    assert [got["a"]["value"], got["b"]["value"]] == pytest.approx(accuracies, abs=1e-12)
    assert got["difference"]["value"] == pytest.approx(accuracies[1] - accuracies[0], abs=1e-12)
    assert got["difference"]["low"] < got["difference"]["value"] < got["difference"]["high"]
    assert (got["b"]["low"], got["b"]["high"]) == wilson(got["b"]["correct"], got["b"]["total"])
    flips = got["flips"]
    table = [[flips["both_right"], flips["lost"]], [flips["gained"], flips["both_wrong"]]]
    assert (np.sum(table), got["total"]) == (3000, 3000)
    assert got["p"] == pytest.approx(mcnemar(table, exact=True).pvalue, rel=1e-9)
    assert got["agreement"] == pytest.approx(np.mean(a.predicted == b.predicted), abs=1e-12)
    assert got["kappa"] == pytest.approx(cohen_kappa_score(a.predicted, b.predicted), abs=1e-12)


@pytest.mark.parametrize("seed", range(3))
def test_classes_are_compared_by_recall_and_corrected_for_their_number(seed):
    labels, a, b = random_models(seed)
    got = compare(labels, a, b, CLASSES).to_json()["per_class"]
    assert list(got) == list(CLASSES)
    for key, model in {"recall_a": a, "recall_b": b}.items():
        want = recall_score(labels, model.predicted, labels=range(4), average=None)
        assert [row[key] for row in got.values()] == pytest.approx(want.tolist(), abs=1e-12)
    tables = [[[0, row["lost"]], [row["gained"], 0]] for row in got.values()]
    p_values = [mcnemar(table, exact=True).pvalue for table in tables]
    rejected, adjusted, *_ = multipletests(p_values, method="holm")
    assert [row["p"] for row in got.values()] == pytest.approx(p_values, rel=1e-9)
    assert [row["p_adjusted"] for row in got.values()] == pytest.approx(adjusted.tolist(), rel=1e-9)
    assert [row["significant"] for row in got.values()] == rejected.tolist()
    assert [row["delta"] for row in got.values()] == pytest.approx(
        [row["recall_b"] - row["recall_a"] for row in got.values()], abs=1e-12
    )


def test_a_class_without_images_has_no_recall_and_costs_the_others_nothing():
    labels = np.zeros(100, int)
    a, b = Answers("A", np.repeat([0, 1], [60, 40])), Answers("B", np.zeros(100, int))
    ant, bee, *_ = compare(labels, a, b, CLASSES).classes
    assert (ant.support, ant.recall_a, ant.recall_b, ant.delta) == (100, 0.6, 1.0, 0.4)
    assert ant.significant
    assert ant.p_adjusted == ant.p_value
    assert (bee.support, bee.recall_a, bee.recall_b, bee.delta, bee.p_adjusted) == (0, None, None, None, 1.0)
    assert not bee.significant


@pytest.mark.parametrize("total", [1, 7, 5000])
@pytest.mark.parametrize("right", [0.0, 0.5, 1.0])
def test_identical_models_do_not_differ(total, right):
    labels = np.arange(total) % 4
    answers = np.where(np.arange(total) < right * total, labels, (labels + 1) % 4)
    got = compare(labels, Answers("A", answers), Answers("B", answers.copy()), CLASSES)
    assert (got.flips.lost, got.flips.gained, got.p_value, got.agreement) == (0, 0, 1.0, 1.0)
    assert got.low <= 0 <= got.high
    assert got.low < got.high
    assert not got.significant
    assert got.equivalence.equivalent is (total == 5000)
    assert not any(row.significant for row in got.classes)


def test_opposite_models_differ_completely():
    labels = np.arange(400) % 4
    got = compare(labels, Answers("A", labels), Answers("B", (labels + 1) % 4), CLASSES)
    assert (got.flips.lost, got.flips.difference, got.agreement) == (400, -1.0, 0.0)
    assert got.low == -1
    assert all(row.significant and row.delta == -1 for row in got.classes)
    assert verdict(got).startswith("A is better than B by 100.00 points (95% interval 98.")


def test_no_answer_is_a_wrong_answer():
    labels = np.array([0, 1, 2, 3])
    got = compare(labels, Answers("A", labels), Answers("B", np.array([0, 1, -1, -1])), CLASSES)
    assert (got.flips.both_right, got.flips.lost, got.agreement) == (2, 2, 0.5)


def test_one_class_is_enough():
    labels = np.zeros(30, int)
    got = compare(labels, Answers("A", labels), Answers("B", labels), ("only",))
    assert got.kappa is None
    assert got.classes[0].delta == 0


def test_nothing_to_compare_on_is_an_error():
    nothing = np.zeros(0, int)
    with pytest.raises(DataError, match="no labelled image"):
        compare(nothing, Answers("a.csv", nothing), Answers("b.csv", nothing), CLASSES)
    with pytest.raises(OptionError, match="margin"):
        compare(*flipping(10, 1, 1), CLASSES, margin=-1)


def test_small_integers_will_do():
    labels, a, b = random_models(0)
    small = [Answers(model.name, model.predicted.astype(np.int8)) for model in (a, b)]
    assert compare(labels.astype(np.int32), *small, CLASSES) == compare(labels, a, b, CLASSES)


def test_json_is_plain():
    got = compare(*random_models(0), CLASSES).to_json()
    assert json.loads(json.dumps(got, allow_nan=False)) == got


@pytest.mark.parametrize(
    ("flips", "sentence"),
    [
        ((10_000, 150, 250), "B is better than A by 1.00 points (95% interval, p < 0.001)."),
        ((10_000, 250, 150), "A is better than B by 1.00 points (95% interval, p < 0.001)."),
        (
            (100_000, 100, 160),
            "B is better than A by 0.060 points (95% interval, p < 0.001), "
            "yet the two are equivalent within 0.5 points.",
        ),
        (
            (10_000, 40, 44),
            "A and B are equivalent within 0.5 points, and no difference can be shown "
            "(B minus A: 0.04 points, 95% interval, p = 0.744).",
        ),
        (
            (10_000, 200, 230),
            "No difference between A and B can be shown (B minus A: 0.30 points, 95% interval, p = 0.162). "
            "B is not worse, within 0.5 points, but may be better by more than that.",
        ),
        (
            (200, 5, 3),
            "No difference between A and B can be shown (B minus A: -1.0 points, 95% interval, p = 0.727), "
            "nor that they are equivalent within 0.5 points; these images show that only within 4.1 points.",
        ),
    ],
    ids=["better", "worse", "better but equivalent", "equivalent", "not worse", "nothing"],
)
def test_the_verdict_claims_what_was_shown(flips, sentence):
    # The ends of the interval are the bootstrap's, and depend on numpy's random numbers.
    assert re.sub(r"interval \S+ to \S+,", "interval,", said(*flips)) == sentence


def test_the_verdict_turns_the_interval_with_the_models():
    comparison = compare(*flipping(10_000, 250, 150), CLASSES)
    assert "interval 0.40 to 1.60," in verdict(replace(comparison, low=-0.016, high=-0.004))


def test_the_verdict_names_the_margin():
    assert "equivalent within 1 point," in said(10_000, 100, 100, margin=1)
    assert "equivalent within 2.5 points," in said(10_000, 100, 100, margin=2.5)


def test_the_verdict_writes_no_negative_zero():
    comparison = replace(compare(*flipping(10_000, 100, 100), CLASSES), low=-0.004, high=-1e-7)
    assert "interval -0.40 to 0.00," in verdict(comparison)


def test_a_verdict_that_nothing_makes_equivalent_names_no_margin():
    opposite = compare(*flipping(1, 0, 1, accuracy=0), CLASSES)
    assert verdict(opposite).endswith("nor that they are equivalent within 0.5 points.")


@pytest.mark.parametrize(
    ("p_value", "text"),
    [(1.0, "p = 1.000"), (0.05, "p = 0.050"), (0.0496, "p < 0.05"), (0.0494, "p = 0.049"), (0.0004, "p < 0.001")],
)
def test_a_p_value_is_not_rounded_up_to_the_level(p_value, text):
    assert p_text(p_value) == text


def judged(random, total, flips, difference):
    """The comparison of two models that flip on a share of the images, made from images up."""
    labels = random.integers(0, len(CLASSES), total)
    draw = random.random(total)
    # Wrong in both up to 0.1; then lost, then gained, then right in both.
    lost, gained = 0.1 + (flips - difference) / 2, 0.1 + flips
    a = (labels + ((draw < 0.1) | ((draw >= lost) & (draw < gained)))) % len(CLASSES)
    b = (labels + 2 * (draw < lost)) % len(CLASSES)
    return compare(labels, Answers("A", a), Answers("B", b), CLASSES)


def test_a_difference_of_one_point_is_found_in_10_000_images_with_4_percent_flipping():
    random = np.random.default_rng(0)
    found = [judged(random, 10_000, 0.04, 0.01) for _ in range(200)]
    assert np.mean([f.significant and f.flips.difference > 0 for f in found]) >= 0.99


def test_noise_is_not_called_a_difference():
    random = np.random.default_rng(1)
    found = [judged(random, 1000, 0.04, 0.0) for _ in range(400)]
    assert np.mean([f.significant for f in found]) <= 0.055
    assert np.mean([any(row.significant for row in f.classes) for f in found]) <= 0.055


def test_a_million_images_and_a_thousand_classes_take_a_second():
    random = np.random.default_rng(0)
    labels = random.integers(0, 1000, 1_000_000)
    models = [
        Answers(name, np.where(random.random(1_000_000) < 0.9, labels, random.integers(0, 1000, 1_000_000)))
        for name in "AB"
    ]
    start = time.process_time()
    got = compare(labels, *models, [str(k) for k in range(1000)])
    assert time.process_time() - start < 2
    assert (got.flips.total, len(got.classes)) == (1_000_000, 1000)


def test_a_comparison_is_a_table_of_its_classes():
    labels, a, b = random_models(0)
    got = compare(labels[:50], Answers("A", a.predicted[:50]), Answers("B", b.predicted[:50]), (*CLASSES, "eel"))
    rows = {row.pop("class"): row for row in got.to_arrow().to_pylist()}
    assert list(rows) == [*CLASSES, "eel"]
    assert rows == got.to_json()["per_class"]
    assert rows["eel"]["delta"] is None
