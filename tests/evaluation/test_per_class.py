import numpy as np
import pytest
from sklearn.metrics import classification_report

from clsbench.evaluation.per_class import per_class
from clsbench.predictions import Outcomes

CLASSES = ("ant", "bee", "cat", "dog")


def outcomes(labels, predicted):
    confidence = np.full(len(labels), 0.5, np.float32)
    return Outcomes(CLASSES, np.array(labels), np.array(predicted)[:, None], confidence, confidence)


def random_case(seed, classes=4):
    return tuple(np.random.default_rng(seed).integers(0, classes, (2, 60)))


CASES = {
    "random": random_case(0),
    "random again": random_case(1),
    "two of four classes": random_case(2, classes=2),
    "one right": ([2], [2]),
    "one wrong": ([2], [0]),
    "always the same answer": ([0, 1, 2, 3], [1, 1, 1, 1]),
    "never right": ([0, 0, 1], [1, 2, 3]),
}


@pytest.mark.parametrize("case", CASES)
def test_every_number_is_that_of_the_classification_report(case):
    labels, predicted = CASES[case]
    report = classification_report(
        labels, predicted, labels=range(4), target_names=CLASSES, output_dict=True, zero_division=0
    )
    table = per_class(outcomes(labels, predicted))["per_class"]
    assert list(table) == list(CLASSES)
    for name, row in table.items():
        want = (report[name][key] for key in ("precision", "recall", "f1-score", "support"))
        assert list(row.values()) == pytest.approx(list(want))


@pytest.mark.parametrize("case", CASES)
def test_macro_means_are_over_the_classes_that_have_images(case):
    labels, predicted = CASES[case]
    report = classification_report(labels, predicted, labels=np.unique(labels), output_dict=True, zero_division=0)
    want = [report["macro avg"][key] for key in ("precision", "recall", "f1-score")]
    assert list(per_class(outcomes(labels, predicted))["macro"].values()) == pytest.approx(want)
