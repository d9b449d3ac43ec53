import warnings

import numpy as np
import pytest
from sklearn.linear_model import LogisticRegression
from sklearn.model_selection import GridSearchCV, StratifiedKFold
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

from clsbench.probing import linear_head
from clsbench.probing.linear_head import STRENGTHS, linear_answers
from clsbench.probing.pool import deal


def blobs(count=120, width=12, classes=3, *, spread=1.5, seed=0):
    """Features float32 (count, width) around a centre for each class, on scales that differ widely, and labels."""
    random = np.random.default_rng(seed)
    labels = random.integers(0, classes, count)
    features = random.normal(size=(classes, width))[labels] + spread * random.normal(size=(count, width))
    return (features * np.logspace(-2, 2, width)).astype(np.float32), labels


def reference(strength):
    return make_pipeline(StandardScaler(), LogisticRegression(C=strength, max_iter=1000))


@pytest.mark.parametrize("classes", [2, 3])
def test_answers_and_strengths_are_those_of_scikit_learns_own_grid_search(classes):
    features, labels = blobs(classes=classes)
    folds = deal(labels, 4, seed=3)
    found = linear_answers(features, labels, folds, seed=5)
    for fold in range(4):
        train, held = folds != fold, folds == fold
        search = GridSearchCV(
            reference(1.0), {"logisticregression__C": STRENGTHS}, scoring="neg_log_loss",
            cv=StratifiedKFold(3, shuffle=True, random_state=5),
        ).fit(features[train].astype(float), labels[train])  # fmt: skip
        assert found.strengths[fold] == search.best_params_["logisticregression__C"]
        np.testing.assert_array_equal(found.predicted[held], search.predict(features[held].astype(float)))
    assert found.unconverged == 0


def test_nothing_of_a_held_out_fold_is_known():
    features, labels = blobs()
    folds = deal(labels, 3, seed=0)
    before = linear_answers(features, labels, folds).predicted[folds == 1]
    other, shuffled = features.copy(), labels.copy()
    other[folds == 1] *= 1000  # would change a mean or a deviation over all images
    shuffled[folds == 1] = (labels[folds == 1] + 1) % 3
    changed = linear_answers(features, shuffled, folds)
    np.testing.assert_array_equal(changed.predicted[folds == 1], before)
    assert linear_answers(other, labels, folds).strengths[1] == linear_answers(features, labels, folds).strengths[1]


def test_with_views_the_head_is_fitted_to_them_and_judged_without():
    features, labels = blobs(spread=0.5)
    folds = deal(labels, 3, seed=0)
    nonsense = np.random.default_rng(1).normal(size=(2, *features.shape)).astype(np.float32)
    assert (linear_answers(features, labels, folds).predicted == labels).mean() > 0.9
    assert (linear_answers(features, labels, folds, views=nonsense).predicted == labels).mean() < 0.6
    twice = linear_answers(features, labels, folds, views=np.stack([features, features]))
    assert (twice.predicted == labels).mean() > 0.9


def test_classes_of_one_or_two_images_and_folds_without_a_second_class():
    features, labels = blobs(40)
    labels = np.where(np.arange(40) == 0, 2, np.where(np.arange(40) < 3, 1, 0))
    found = linear_answers(features, labels, np.arange(40) % 2)
    assert found.predicted[0] != 2
    only = linear_answers(features, np.array([0] * 39 + [1]), np.array([0] * 39 + [1]))
    assert only.predicted.tolist() == [1] * 39 + [0]  # fold 0 learns from class 1 alone


def test_groups_are_kept_whole_by_the_choice_too(monkeypatch):
    features, labels = blobs()
    groups, seen = np.arange(120) // 6, []
    made = linear_head.deal

    def deals(labels, folds, seed, *, groups=None):
        seen.append((groups, made(labels, folds, seed, groups=groups)))
        return seen[-1][1]

    monkeypatch.setattr(linear_head, "deal", deals)
    linear_answers(features, labels, deal(labels, 3, 0, groups=groups), groups=groups)
    assert len(seen) == 3
    assert all(len({dealt[k] for k in np.flatnonzero(theirs == g)}) == 1 for theirs, dealt in seen for g in theirs)


def test_the_choice_looks_at_some_of_many_images(monkeypatch):
    monkeypatch.setattr(linear_head, "CHOOSING", 60)
    features, labels = blobs(300, spread=0.5)
    found = linear_answers(features, labels, deal(labels, 3, 0))
    assert (found.predicted == labels).mean() > 0.9


def test_a_head_that_does_not_converge_is_counted_and_no_warning(monkeypatch):
    monkeypatch.setattr(linear_head, "ITERATIONS", 1)
    features, labels = blobs()
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        assert linear_answers(features, labels, deal(labels, 3, 0)).unconverged == 3


def test_progress_is_one_a_fold():
    features, labels = blobs()
    heard = []
    linear_answers(features, labels, deal(labels, 5, 0), heard=heard.append)
    assert heard == [1] * 5
