import pytest

from clsbench.evaluation.report.sentences import sentences


@pytest.fixture
def facts(birds):
    """Facts to be changed."""
    return birds.facts | {"metrics": dict(birds.facts["metrics"]), "counts": dict(birds.facts["counts"])}


def said(facts):
    return " ".join(sentences(facts))


def accuracy(correct, total, low, high):
    return {"value": correct / total, "low": low, "high": high, "correct": correct, "total": total}


def test_they_begin_with_the_accuracy_and_warn_of_few_images(facts):
    facts["metrics"]["top1"] = accuracy(940, 1000, 0.9235, 0.9531)
    assert sentences(facts)[0] == (
        "940 of 1,000 images are classified correctly. On images of this kind the accuracy lies between 92.35% and "
        "95.31% (95 % interval)."
    )
    assert "few" not in said(facts)
    facts["metrics"]["top1"] = accuracy(9, 10, 0.5958, 0.9821)
    assert "four times as many would halve it" in said(facts)


def test_they_count_what_is_left_out(facts):
    facts["counts"] = {"total": 1200, "ok": 1199, "errors": 1, "labelled": 1000, "judged": 999}
    assert "1 image could not be classified, and is not counted" in said(facts)
    assert "200 images of 1,200 have no label." in said(facts)
    facts["counts"] = {"total": 9, "ok": 9, "errors": 0, "labelled": 9, "judged": 9}
    assert "not counted" not in said(facts)
    assert "no label" not in said(facts).replace("no labelled", "")


def test_they_name_the_weakest_class_and_the_largest_confusion(facts):
    row = {"precision": 1.0, "recall": 0.25, "f1": 0.4, "support": 8, "recall_low": 0.1, "recall_high": 0.6}
    facts["metrics"]["per_class"] = {"a\u202eb": row, "c": row | {"f1": 0.9}, "d": row | {"f1": 0.0, "support": 0}}
    pair = {"label": "c", "predicted": "d", "count": 2, "share": 0.25}
    facts["metrics"]["confused_pairs"] = {"min_count": 2, "found": 1, "pairs": [pair]}
    assert "The weakest class is “a\\u202eb”, with F1 0.400: 25.00% of its 8 images are found." in said(facts)
    assert "1 class of 3 has no labelled image." in said(facts)
    assert "“c” taken for “d”, 2 times (25.00% of its images)." in said(facts)


@pytest.mark.parametrize(
    ("confidence", "words"),
    [
        (0.95, "too sure of itself: its confidence is 15.0 percentage points above"),
        (0.65, "not sure enough of itself: its confidence is 15.0 percentage points below"),
        (0.81, "its confidence is within 1.0 percentage points of its accuracy"),
    ],
)
def test_they_tell_whether_the_confidence_can_be_trusted(facts, confidence, words):
    half = {"from": 0.5, "to": 1.0, "count": 10, "confidence": confidence, "accuracy": 0.8, "low": 0.5, "high": 0.9}
    facts["metrics"]["reliability"] = [half, half | {"count": 30}]
    assert words in said(facts)


def test_they_tell_what_can_be_automated(facts):
    row = {"target": 0.95, "threshold": 0.9, "kept": 8, "coverage": 0.8, "accuracy": 1.0, "low": 0.7, "high": 1.0}
    none = row | {"target": 0.99, "threshold": None, "kept": 0, "coverage": 0.0, "accuracy": None}
    facts["metrics"]["coverage_for_accuracy"] = [row, none]
    assert "80.00% of the images can be decided at 95% accuracy: those with a confidence of 0.900 or more." in said(
        facts
    )
    facts["metrics"]["coverage_for_accuracy"] = [none]
    assert "No confidence from which on it is right for 99% of the images." in said(facts)


def test_they_hold_without_any_metric(facts):
    assert sentences(facts | {"metrics": {}})[0] == "The accuracy is not known: the metric accuracy was not asked for."


def test_they_hold_in_degenerate_cases(outcomes, bare, facts_of):
    for given in (outcomes, bare):
        words = said(facts_of(given))
        assert "nan" not in words
        assert "None" not in words
