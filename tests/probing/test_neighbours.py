import numpy as np
from sklearn.neighbors import KNeighborsClassifier

from clsbench.probing.neighbours import NEIGHBOURS, neighbour_answers


def chord(a, b):
    """Between the points of two vectors on the unit sphere."""
    return float(np.linalg.norm(a / np.linalg.norm(a) - b / np.linalg.norm(b)))


def test_answers_are_scikit_learns_by_angle():
    random = np.random.default_rng(0)
    labels, folds = random.integers(0, 3, 60), np.arange(60) % 3
    features = (random.normal(size=(3, 5))[labels] + random.normal(size=(60, 5))).astype(np.float32)
    features *= random.uniform(0.1, 10, (60, 1)).astype(np.float32)  # lengths say nothing
    found = neighbour_answers(features, labels, folds)
    for fold in range(3):
        train, held = folds != fold, folds == fold
        model = KNeighborsClassifier(NEIGHBOURS, weights="distance", metric=chord).fit(features[train], labels[train])
        np.testing.assert_array_equal(found[held], model.predict(features[held]))


def test_few_images_and_features_of_length_zero():
    features = np.array([[1, 0], [1, 0.1], [0, 1], [0, 0]], np.float32)
    assert neighbour_answers(features, np.array([0, 0, 1, 1]), np.array([0, 1, 0, 1]))[0] in (0, 1)
