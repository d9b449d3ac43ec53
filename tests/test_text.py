"""How numbers and counts are written."""

import re

import numpy as np
import pytest

from clsbench.evaluation.report import formats
from clsbench.predictions.metric import Column, Shown, ShownMetric, run_metrics
from clsbench.predictions.outcomes import Outcomes
from clsbench.text import formatted


@pytest.mark.parametrize("value", [-0.0, -1e-9, -0.00004])
@pytest.mark.parametrize("write", [
    lambda value: formatted(value, ".2f"), lambda value: formatted(value, "+.1%"), formats.percent, formats.fixed,
    Column("share", ".1%").text,
])  # fmt: skip
def test_what_rounds_to_zero_has_no_sign(write, value):
    assert re.fullmatch(r"\+?0\.0+%?", write(value))


def test_other_numbers_keep_theirs():
    assert [formatted(value, ".2f") for value in (-0.006, -10.0, float("-inf"))] == ["-0.01", "-10.00", "-inf"]
    assert (formatted(-3), formatted(-1e-9, ".1e"), formatted(1234567, ",")) == ("-3", "-1.0e-09", "1,234,567")


def test_a_score_that_rounds_to_zero_has_no_sign():
    outcomes = Outcomes(("a", "b"), np.array([0]), np.array([[0]]), np.array([0.9]), np.array([0.9]))
    metric = ShownMetric(lambda outcomes: {"mcc": -1e-9}, (Shown("mcc", "score", "MCC", format=".3f"),))
    assert run_metrics(outcomes, [("mcc", metric)]).displays[0].text == "0.000"
