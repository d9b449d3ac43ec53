"""Outcomes of random and of degenerate classifiers."""

import numpy as np
import pytest

from clsbench.predictions.outcomes import RANKED, Outcomes


def dice(seed, images, classes, *, skill=0.0, present=None, throws=1 << 12):
    """Labels, and probabilities float32 that are exact fractions: their sum is 1, with ties and zeros among them."""
    random = np.random.default_rng(seed)
    labels = random.integers(0, present or classes, images)
    chances = random.dirichlet(np.full(classes, 0.7), images)
    chances = (1 - skill) * chances + skill * np.eye(classes)[labels]
    return labels, (random.multinomial(throws, chances) / throws).astype(np.float32)


def sure(labels, answers, classes, confidence=1.0):
    """The same confidence for each answer, the rest evenly spread."""
    others = (1 - confidence) / max(1, classes - 1)
    return np.array(labels), np.where(np.eye(classes)[answers] > 0, confidence, others).astype(np.float32)


CASES = {
    "two classes": dice(0, 300, 2),
    "three classes": dice(1, 200, 3, skill=0.3),
    "twelve classes": dice(2, 500, 12, skill=0.2),
    "sixty classes": dice(3, 400, 60, skill=0.5),
    "ties everywhere": dice(4, 250, 4, throws=4),
    "absent classes": dice(5, 120, 8, skill=0.3, present=3),
    "all images of one class": dice(6, 40, 3, present=1),
    "one class at all": sure([0, 0, 0], [0, 0, 0], 1),
    "one image, right": sure([1], [1], 4, 0.625),
    "one image, wrong": sure([2], [0], 4, 0.625),
    "all right, certain": sure([0, 1, 2, 0], [0, 1, 2, 0], 3),
    "all wrong, certain": sure([0, 1, 2, 0], [1, 2, 0, 2], 3),
    "always the same answer": sure([0, 1, 2, 3], [1, 1, 1, 1], 4, 0.25),
}


def make(labels, probabilities, names=True):
    """Outcomes as reading a file makes them."""
    labels, probabilities = np.asarray(labels, np.int64), np.asarray(probabilities, np.float32)
    count, classes = probabilities.shape
    ranked = np.argsort(-probabilities, axis=1, kind="stable")[:, : min(RANKED, classes)]
    rows = np.arange(count)
    return Outcomes(
        tuple(f"class {k}" for k in range(classes)),
        labels,
        ranked,
        probabilities[rows, ranked[:, 0]].astype(float),
        probabilities[rows, labels].astype(float),
        [f"{row}.png" for row in rows] if names else None,
        np.ascontiguousarray(probabilities.T).T,
    )


@pytest.fixture
def outcomes_of():
    """outcomes_of(labels, probabilities): Outcomes with everything."""
    return make


@pytest.fixture(params=CASES)
def case(request):
    """(labels, probabilities) of each kind of classifier."""
    return CASES[request.param]


@pytest.fixture
def outcomes(case):
    """Its Outcomes."""
    return make(*case)


@pytest.fixture
def bare(outcomes):
    """The same without names and probabilities, as a plugin or ``infer`` has them."""
    return Outcomes(outcomes.classes, outcomes.labels, outcomes.ranked, outcomes.confidence, outcomes.label_confidence)
