import numpy as np
import pytest
from cleanlab.count import compute_confident_joint
from cleanlab.filter import find_label_issues
from scipy.stats import binomtest

from clsbench.errors import OptionError
from clsbench.evaluation.metrics import label_errors as module
from clsbench.evaluation.metrics.label_errors import suspects
from clsbench.predictions import spill
from clsbench.predictions.metric import run_metrics
from clsbench.predictions.values import json_of


def label_errors(outcomes, **options):
    """Its values as JSON."""
    return json_of(module.label_errors(outcomes, **options))


def cleanlabs(labels, probabilities):
    """The rows that cleanlab finds by the same rule, least probable label first."""
    values = np.asarray(probabilities, np.float32).astype(float)
    return find_label_issues(
        labels, values, filter_by="confident_learning", return_indices_ranked_by="self_confidence", n_jobs=1
    ).tolist()


def noisy(seed, images=400, classes=5, flipped=0.1):
    """Labels of which some are wrong, and the probabilities of a good model."""
    random = np.random.default_rng(seed)
    truth = random.integers(0, classes, images)
    labels = np.where(random.random(images) < flipped, random.integers(0, classes, images), truth)
    chances = random.dirichlet(np.ones(classes), images) * 0.4 + 0.6 * np.eye(classes)[truth]
    return truth, labels, chances.astype(np.float32)


def test_the_rows_are_cleanlabs(case, outcomes):
    labels, probabilities = case
    if len(set(labels.tolist())) == 1:  # cleanlab wants two classes
        assert suspects(outcomes)[0].size == 0
        return
    rows = suspects(outcomes)[0]
    # Equal probabilities of the label have no order of their own.
    key = [(outcomes.label_confidence[row], row) for row in rows]
    want = sorted((outcomes.label_confidence[row], row) for row in cleanlabs(labels, probabilities))
    assert key == want


@pytest.mark.parametrize("seed", range(5))
def test_rows_and_order_are_cleanlabs_on_noisy_labels(seed, outcomes_of):
    _, labels, probabilities = noisy(seed)
    rows, suggested = suspects(outcomes_of(labels, probabilities))
    assert rows.tolist() == cleanlabs(labels, probabilities)
    assert rows.size
    joint = compute_confident_joint(labels, probabilities.astype(float), calibrate=False)
    assert all(joint[labels[row], guess] for row, guess in zip(rows, suggested, strict=True))


def test_flipped_labels_are_found_and_the_true_class_is_suggested(outcomes_of):
    truth, labels, probabilities = noisy(0, images=2000)
    rows, suggested = suspects(outcomes_of(labels, probabilities))
    flipped = truth != labels
    assert flipped[rows].mean() > 0.85
    assert flipped[rows].sum() > 0.7 * flipped.sum()
    assert (suggested == truth[rows]).mean() > 0.9


def test_many_parts_give_what_one_gives(outcomes_of, monkeypatch):
    _, labels, probabilities = noisy(1)
    whole = suspects(outcomes_of(labels, probabilities))
    monkeypatch.setattr(spill, "PART", 50)
    parts = suspects(outcomes_of(labels, probabilities))
    assert [array.tolist() for array in parts] == [array.tolist() for array in whole]


def test_the_table_names_images_and_both_probabilities(outcomes_of):
    _, labels, probabilities = noisy(2)
    outcomes = outcomes_of(labels, probabilities)
    got = label_errors(outcomes, limit=4)["label_errors"]
    rows, suggested = suspects(outcomes)
    assert (got["found"], got["share"], len(got["images"])) == (len(rows), len(rows) / 400, 4)
    row, guess = rows[0], suggested[0]
    assert got["images"][0] == {
        "name": f"{row}.png",
        "label": f"class {labels[row]}",
        "label_probability": pytest.approx(probabilities[row, labels[row]]),
        "suggested": f"class {guess}",
        "probability": pytest.approx(probabilities[row, guess]),
    }


def test_the_share_has_its_interval(outcomes_of):
    _, labels, probabilities = noisy(2)
    got = label_errors(outcomes_of(labels, probabilities))["label_errors"]
    interval = binomtest(got["found"], 400).proportion_ci(method="wilson")
    assert (got["low"], got["high"]) == pytest.approx((interval.low, interval.high))
    display = run_metrics(outcomes_of(labels, probabilities), [("label-errors", module.build())]).displays[0]
    assert f"(95% interval {interval.low:.2%} – {interval.high:.2%})" in display.title


def test_a_weak_model_accuses_no_label_unless_asked_to(outcomes_of):
    random = np.random.default_rng(0)
    labels = random.integers(0, 5, 300)
    probabilities = random.dirichlet(np.ones(5) * 0.2, 300).astype(np.float32)
    outcomes = outcomes_of(labels, probabilities)
    reason = label_errors(outcomes)["label_errors"]["reason"]
    assert "may be below 60%" in reason
    assert "min_accuracy=0" in reason
    assert label_errors(outcomes, min_accuracy=0)["label_errors"]["found"] > 20


def test_few_images_do_not_show_that_a_model_is_good(outcomes_of):
    probabilities = np.eye(2, dtype=np.float32)[[0, 1, 0, 1, 1]] * 0.8 + 0.1
    for count, known in ((5, False), (6, True)):
        labels = np.array([0, 1, 0, 1, 1, 0][:count])
        chances = np.vstack([probabilities, [[0.9, 0.1]]]).astype(np.float32)[:count]
        assert ("found" in label_errors(outcomes_of(labels, chances), min_images=1)["label_errors"]) is known


def test_mistakes_that_go_to_classes_of_few_images_are_no_label_errors(outcomes_of):
    """All labels are right, and a fifth of the answers are wrong; there are 1,000 classes of one or two images."""
    random = np.random.default_rng(0)
    labels = random.integers(0, 1000, 1500)
    logits = random.normal(size=(1500, 1000))
    logits[np.arange(1500), labels] += random.normal(5, 2, 1500)
    probabilities = np.exp(logits) / np.exp(logits).sum(axis=1, keepdims=True)
    outcomes = outcomes_of(labels, probabilities.astype(np.float32))
    assert label_errors(outcomes, min_images=1)["label_errors"]["found"] > 200
    assert label_errors(outcomes)["label_errors"]["found"] < 15
    few = outcomes_of(np.arange(8), np.eye(8, dtype=np.float32) * 0.9 + 0.01)
    assert "no class has 5 images or more" in label_errors(few)["label_errors"]["reason"]


def test_an_accuracy_that_is_no_fraction_is_refused():
    with pytest.raises(OptionError, match="a fraction"):
        module.build(min_accuracy=60)
    with pytest.raises(OptionError, match="needs images"):
        module.build(min_images=0)


def test_without_probabilities_or_names_there_is_a_reason(bare, case, outcomes_of):
    assert "--probabilities" in label_errors(bare)["label_errors"]["reason"]
    assert "names" in label_errors(outcomes_of(*case, names=False))["label_errors"]["reason"]
