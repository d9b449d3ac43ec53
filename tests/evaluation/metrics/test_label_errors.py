import numpy as np
import pytest
from cleanlab.count import compute_confident_joint
from cleanlab.filter import find_label_issues

from clsbench.evaluation.metrics import label_errors as module
from clsbench.evaluation.metrics.label_errors import suspects
from clsbench.predictions import spill
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


def test_without_probabilities_or_names_there_is_a_reason(bare, case, outcomes_of):
    assert "--probabilities" in label_errors(bare)["label_errors"]["reason"]
    assert "names" in label_errors(outcomes_of(*case, names=False))["label_errors"]["reason"]
