from dataclasses import replace

import numpy as np
import pytest

from clsbench.evaluation.metrics import top_losses as module
from clsbench.predictions.values import json_of


def top_losses(outcomes, **options):
    """Its values as JSON."""
    return json_of(module.top_losses(outcomes, **options))


def test_they_are_the_mistakes_greatest_loss_first(case, outcomes):
    labels, probabilities = case
    got = top_losses(outcomes, limit=10**6)["top_losses"]
    wrong = np.flatnonzero(outcomes.predicted != labels)
    assert {row["name"] for row in got} == {f"{k}.png" for k in wrong}
    losses = [row["loss"] for row in got]
    assert losses == sorted(losses, reverse=True)
    for row in got:
        k = int(row["name"].removesuffix(".png"))
        assert (row["label"], row["predicted"]) == (f"class {labels[k]}", f"class {outcomes.predicted[k]}")
        true = np.clip(float(probabilities[k, labels[k]]), np.finfo(float).eps, 1 - np.finfo(float).eps)
        assert row["loss"] == pytest.approx(-np.log(true), abs=1e-9)
        assert row["probability"] == probabilities[k].max()


def test_only_so_many_are_told(outcomes):
    assert top_losses(outcomes, limit=3)["top_losses"] == top_losses(outcomes)["top_losses"][:3]


def test_equal_losses_are_ordered_by_confidence(outcomes_of):
    got = top_losses(outcomes_of([0, 0, 1], [[0.125, 0.5, 0.375], [0.125, 0.75, 0.125], [0, 1, 0]]))["top_losses"]
    assert [row["name"] for row in got] == ["1.png", "0.png"]


def test_what_is_not_known_is_none_and_comes_last(outcomes_of):
    known = outcomes_of([0, 0, 0], [[0.25, 0.75], [0.125, 0.875], [0.4, 0.6]])
    loss = replace(known, label_confidence=np.array([0.25, np.nan, 0.4]), probabilities=None)
    assert [row["name"] for row in top_losses(loss)["top_losses"]] == ["0.png", "2.png", "1.png"]
    nothing = np.full(3, np.nan)
    got = top_losses(replace(loss, label_confidence=nothing, confidence=nothing))["top_losses"]
    assert [list(row.values())[3:] for row in got] == [[None, None]] * 3


def test_without_names_there_is_a_reason(bare):
    assert "names" in top_losses(bare)["top_losses"]["reason"]
