import json
from itertools import combinations

import numpy as np
import pytest
from statsmodels.stats.contingency_tables import mcnemar
from statsmodels.stats.multitest import multipletests

from clsbench.errors import DataError
from clsbench.evaluation.comparison.pairwise import Answers
from clsbench.evaluation.comparison.ranking import rank


def models(skills, total=4000, seed=0):
    """Labels, and a model for each name with the given chance to be right."""
    random = np.random.default_rng(seed)
    labels = random.integers(0, 10, total)
    wrong = (labels + 1) % 10
    answers = [Answers(name, np.where(random.random(total) < skill, labels, wrong)) for name, skill in skills.items()]
    return labels, answers


def from_hits(**hits):
    """Models that are right (1) and wrong (0) as written, image by image."""
    columns = {name: np.concatenate([np.full(n, bit) for n, bit in runs]) for name, runs in hits.items()}
    labels = np.zeros(len(next(iter(columns.values()))), int)
    return labels, [Answers(name, 1 - column) for name, column in columns.items()]


def test_models_are_ordered_by_accuracy_and_share_a_rank_that_nothing_takes_from_them():
    got = rank(*models({"poor": 0.5, "good": 0.901, "also good": 0.9, "fair": 0.8}))
    assert [(model.name, model.rank) for model in got.models][2:] == [("fair", 3), ("poor", 4)]
    assert {(model.name, model.rank) for model in got.models[:2]} == {("good", 1), ("also good", 1)}
    assert [model.accuracy.correct for model in got.models] == sorted(
        (m.accuracy.correct for m in got.models), reverse=True
    )


def test_every_pair_is_a_mcnemar_corrected_by_holm():
    labels, answers = models({"a": 0.8, "b": 0.81, "c": 0.83, "d": 0.83}, total=2000)
    got = rank(labels, answers)
    hits = {model.name: model.predicted == labels for model in answers}
    assert len(got.pairs) == 6
    assert {frozenset((d.a, d.b)) for d in got.pairs} == {frozenset(pair) for pair in combinations("abcd", 2)}
    tables = [
        [[0, np.sum(hits[pair.a] & ~hits[pair.b])], [np.sum(hits[pair.b] & ~hits[pair.a]), 0]] for pair in got.pairs
    ]
    p_values = [mcnemar(table, exact=True).pvalue for table in tables]
    rejected, adjusted, *_ = multipletests(p_values, method="holm")
    assert [pair.p_value for pair in got.pairs] == pytest.approx(p_values, rel=1e-9)
    assert [pair.p_adjusted for pair in got.pairs] == pytest.approx(adjusted.tolist(), rel=1e-9)
    assert [pair.significant for pair in got.pairs] == rejected.tolist()
    assert all(pair.flips.difference <= 0 for pair in got.pairs)


def test_a_rank_counts_the_models_shown_to_be_better():
    # b is neither shown to be worse than a nor better than c; a is shown to be better than c.
    got = rank(*from_hits(c=[(90, 1), (10, 0)], b=[(95, 1), (5, 0)], a=[(100, 1)]))
    assert [(model.name, model.rank) for model in got.models] == [("a", 1), ("b", 1), ("c", 2)]
    assert [(pair.a, pair.b) for pair in got.pairs if pair.significant] == [("a", "c")]
    assert got.to_json()["verdict"] == (
        "a and b share the first rank: no difference between them can be shown; c is worse than at least one of them."
    )


@pytest.mark.parametrize("right", [0, 1])
def test_identical_models_share_the_first_rank_in_the_order_given(right):
    got = rank(*from_hits(b=[(50, right)], a=[(50, right)], c=[(50, right)]))
    assert [(model.name, model.rank) for model in got.models] == [("b", 1), ("a", 1), ("c", 1)]
    assert got.to_json()["verdict"] == "No difference between b, a and c can be shown."


def test_the_verdict_names_a_clear_winner():
    got = rank(*models({"good": 0.9, "fair": 0.8, "poor": 0.6}))
    assert got.to_json()["verdict"] == "good is better than the other 2."


def test_a_model_that_the_second_beats_does_not_share_its_rank_though_the_first_cannot_be_shown_better():
    # b has all of d's images right and 15 more; a has the most, but quite other ones.
    labels, answers = from_hits(d=[(700, 1), (300, 0)], b=[(715, 1), (285, 0)], a=[(100, 0), (720, 1), (180, 0)])
    got = rank(labels, answers)
    assert [(model.name, model.accuracy.correct, model.rank) for model in got.models] == [
        ("a", 720, 1), ("b", 715, 1), ("d", 700, 2)
    ]  # fmt: skip
    assert [(pair.a, pair.b) for pair in got.pairs if pair.significant] == [("b", "d")]


def test_one_image_ranks_nothing():
    got = rank(*from_hits(a=[(1, 1)], b=[(1, 0)], c=[(1, 0)]))
    assert {model.rank for model in got.models} == {1}


def test_no_image_is_an_error():
    with pytest.raises(DataError, match="no labelled image"):
        rank(np.zeros(0, int), [Answers(name, np.zeros(0, int)) for name in "abc"])


def test_json_is_plain():
    got = rank(*models({"a": 0.8, "b": 0.81, "c": 0.9})).to_json()
    assert json.loads(json.dumps(got, allow_nan=False)) == got
    assert list(got["models"][0]) == ["rank", "name", "value", "low", "high", "correct", "total"]
    assert list(got["duels"][0]) == ["a", "b", "difference", "flips", "p", "p_adjusted", "significant"]


def test_equal_models_are_rarely_told_apart():
    found = [rank(*models(dict.fromkeys("abcd", 0.9), total=1000, seed=seed)) for seed in range(400)]
    assert np.mean([any(pair.significant for pair in ranking.pairs) for ranking in found]) <= 0.055


def test_a_ranking_is_a_table_of_its_models():
    got = rank(*models({"good": 0.9, "poor": 0.5}, total=100))
    assert got.to_arrow().to_pylist() == got.to_json()["models"]
