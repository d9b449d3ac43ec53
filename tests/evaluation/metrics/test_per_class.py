import pytest
from scipy.stats import binomtest
from sklearn.metrics import classification_report

from clsbench.evaluation.metrics import per_class as module
from clsbench.predictions.values import json_of


def per_class(outcomes, **options):
    """Its values as JSON."""
    return json_of(module.per_class(outcomes, **options))


def test_every_number_is_that_of_the_classification_report(outcomes):
    names = list(outcomes.classes)
    report = classification_report(
        outcomes.labels, outcomes.predicted, labels=range(len(names)), target_names=names, output_dict=True,
        zero_division=0,
    )  # fmt: skip
    table = per_class(outcomes)["per_class"]
    assert list(table) == names
    for name, row in table.items():
        want = [report[name][key] for key in ("precision", "recall", "f1-score", "support")]
        assert [row[key] for key in ("precision", "recall", "f1", "support")] == pytest.approx(want, abs=1e-9)


def test_the_interval_of_the_recall_is_scipys(outcomes):
    for row in per_class(outcomes)["per_class"].values():
        got = (row["recall_low"], row["recall_high"])
        if not row["support"]:
            assert got == (0, 1)
            continue
        interval = binomtest(round(row["recall"] * row["support"]), row["support"]).proportion_ci(method="wilson")
        assert got == pytest.approx((interval.low, interval.high), abs=1e-9)


def test_macro_means_are_over_the_classes_that_have_images(outcomes):
    present = sorted(set(outcomes.labels.tolist()))
    report = classification_report(
        outcomes.labels, outcomes.predicted, labels=present, output_dict=True, zero_division=0
    )
    want = [report["macro avg"][key] for key in ("precision", "recall", "f1-score")]
    assert list(per_class(outcomes)["macro"].values()) == pytest.approx(want, abs=1e-9)
