import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from sklearn.metrics import roc_auc_score

from clsbench.evaluation.metrics import roc_auc as module
from clsbench.evaluation.metrics.roc_auc import area
from clsbench.predictions.values import json_of


def roc_auc(outcomes, **options):
    """Its values as JSON."""
    return json_of(module.roc_auc(outcomes, **options))


def test_areas_are_sklearns_where_they_are_defined(case, outcomes):
    labels, probabilities = case
    got = roc_auc(outcomes)
    if len(set(labels.tolist())) == 1:
        assert "two classes" in got["roc_auc"]["reason"]
        assert "two classes" in got["roc_auc_per_class"]["reason"]
        return
    for k, value in enumerate(got["roc_auc_per_class"].values()):
        positive = labels == k
        if positive.any():
            assert value == pytest.approx(roc_auc_score(positive, probabilities[:, k]), abs=1e-9)
        else:
            assert value is None
    known = [value for value in got["roc_auc_per_class"].values() if value is not None]
    assert got["roc_auc"] == pytest.approx(np.mean(known), abs=1e-12)


def test_the_mean_is_sklearns_where_every_class_has_images(outcomes_of):
    random = np.random.default_rng(0)
    labels, probabilities = random.permutation(np.arange(300) % 6), random.dirichlet(np.ones(6), 300)
    probabilities = probabilities.astype(np.float32)
    want = roc_auc_score(labels, probabilities, multi_class="ovr", average="macro")
    assert roc_auc(outcomes_of(labels, probabilities))["roc_auc"] == pytest.approx(want, abs=1e-9)


@given(st.lists(st.tuples(st.sampled_from([0.0, 1e-45, 0.25, 0.5, 1.0]), st.booleans()), min_size=2, max_size=60))
def test_ties_count_half(pairs):
    scores, positive = (np.array(column) for column in zip(*pairs, strict=True))
    if positive.all() or not positive.any():
        return
    scores = scores.astype(np.float32)
    better = (scores[positive][:, None] > scores[~positive]).mean()
    equal = (scores[positive][:, None] == scores[~positive]).mean()
    assert area(scores, np.flatnonzero(positive)) == pytest.approx(better + equal / 2, abs=1e-12)


def test_without_all_probabilities_there_is_a_reason(bare):
    assert "--probabilities" in roc_auc(bare)["roc_auc"]["reason"]
