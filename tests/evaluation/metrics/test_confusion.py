import numpy as np
import pytest
from sklearn.metrics import confusion_matrix

from clsbench.evaluation.metrics import confusion as module
from clsbench.evaluation.metrics.confusion import DENSE
from clsbench.predictions.values import json_of


def confusion(outcomes, **options):
    """Its values as JSON."""
    return json_of(module.confusion(outcomes, **options))


def build(**options):
    """The metric with options; its values as JSON."""
    metric = module.build(**options)
    return lambda outcomes: json_of(metric(outcomes))


#: scikit-learn tells whoever gives it one class that this is strange.
pytestmark = pytest.mark.filterwarnings("ignore:A single label was found")


def test_the_matrix_is_sklearns_dense_or_as_cells(outcomes):
    count = len(outcomes.classes)
    want = confusion_matrix(outcomes.labels, outcomes.predicted, labels=range(count))
    got = confusion(outcomes)["confusion"]
    assert got["classes"] == list(outcomes.classes)
    if count <= DENSE:
        assert got["matrix"] == want.tolist()
        assert "cells" not in got
    else:
        dense = np.zeros((count, count), int)
        for label, predicted, times in got["cells"]:
            dense[label, predicted] = times
        assert dense.tolist() == want.tolist()
        assert len(got["cells"]) == (want > 0).sum()
        assert "matrix" not in got


def test_confused_pairs_are_those_off_the_diagonal_most_frequent_first(outcomes):
    count = len(outcomes.classes)
    matrix = confusion_matrix(outcomes.labels, outcomes.predicted, labels=range(count))
    pairs = [(k, j, matrix[k, j]) for k in range(count) for j in range(count) if k != j and matrix[k, j] >= 2]
    want = [
        {
            "label": outcomes.classes[k],
            "predicted": outcomes.classes[j],
            "count": times,
            "share": times / matrix[k].sum(),
        }
        for k, j, times in sorted(pairs, key=lambda pair: -pair[2])
    ]
    assert confusion(outcomes)["confused_pairs"] == {"min_count": 2, "found": len(want), "pairs": want[:200]}


def test_rare_pairs_and_long_lists_are_cut(outcomes_of):
    predicted = [1] * 5 + [2] * 3 + [3] * 2 + [4]
    got = build(min_count=2, limit=2)(outcomes_of([0] * 11, np.eye(5)[predicted]))["confused_pairs"]
    assert got["found"] == 3
    assert [(pair["predicted"], pair["count"]) for pair in got["pairs"]] == [("class 1", 5), ("class 2", 3)]
    assert build(min_count=1)(outcomes_of([0] * 11, np.eye(5)[predicted]))["confused_pairs"]["found"] == 4
