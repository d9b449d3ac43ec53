import warnings

import numpy as np
import pytest
from sklearn.metrics import balanced_accuracy_score, precision_recall_fscore_support

from clsbench.evaluation.metrics import averages as module
from clsbench.evaluation.metrics.per_class import per_class as measured
from clsbench.predictions.values import json_of


def averages(outcomes, **options):
    """Its values as JSON."""
    return json_of(module.averages(outcomes, **options))


def test_balanced_accuracy_is_sklearns(outcomes):
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # sklearn warns of predicted classes without images
        want = balanced_accuracy_score(outcomes.labels, outcomes.predicted)
    assert averages(outcomes)["balanced_accuracy"] == pytest.approx(want, abs=1e-9)


@pytest.mark.parametrize("kind", ["macro", "weighted"])
def test_means_are_sklearns_over_the_classes_that_have_images(outcomes, kind):
    want = precision_recall_fscore_support(
        outcomes.labels, outcomes.predicted, labels=np.unique(outcomes.labels), average=kind, zero_division=0
    )
    assert list(averages(outcomes)[kind].values()) == pytest.approx(list(want[:3]), abs=1e-9)


def test_the_macro_mean_is_that_of_the_per_class_metric(bare):
    assert averages(bare)["macro"] == json_of(measured(bare))["macro"]
