import json

import numpy as np
import pytest

from clsbench.errors import PluginError
from clsbench.predictions.metric import PLACES, Column, Metrics, Shown, ShownMetric, run_metrics
from clsbench.predictions.outcomes import Outcomes
from clsbench.predictions.values import Absent, Proportion, json_of

HALF = np.array([0.5, 0.5])

OUTCOMES = Outcomes(("a", "b"), np.array([0, 1]), np.array([[0, 1], [0, 1]]), HALF, HALF)


def gives(*shown, **values):
    """A metric of these values, declared so."""
    return ShownMetric(lambda outcomes: values, shown)


def raises(error, cause=None):
    def metric(outcomes):
        raise error from cause

    return metric


def run(*metrics):
    return run_metrics(OUTCOMES, [(f"acme/{k}", metric) for k, metric in enumerate(metrics)])


def test_without_outcomes_there_are_no_values():
    assert run_metrics(None, [("acme/0", raises(ValueError()))]) == Metrics()


@pytest.mark.parametrize(
    ("metric", "words"),
    [
        (raises(ZeroDivisionError("no such luck")), "ZeroDivisionError: no such luck"),
        (raises(PluginError("acme/0 failed"), KeyError("x")), "KeyError: 'x'"),
        (gives(half=float("nan")), "not JSON compliant"),
        (gives(deep={"list": [float("inf")]}), "not JSON compliant"),
        (gives(array=HALF), "not JSON serializable"),
        (lambda outcomes: {1: 2}, "not a text: 1"),
        (lambda outcomes: None, "TypeError"),
        (gives(Shown("n", "score", "N", format=".2q"), n=1.0), "ValueError"),
        (gives(Shown("n", "proportion", "N"), n=1.0), "declared as a proportion"),
        (gives(Shown("n", "table", "N", columns=(Column("a"),)), n=[(1, 2)]), "longer"),
        (gives("score", n=1), "AttributeError"),
    ],
)
def test_a_metric_that_fails_costs_its_own_values_and_says_why(metric, words):
    found = run(gives(before=1), metric, gives(after=2))
    assert dict(found.values) == {"before": 1, "after": 2}
    assert found.errors.keys() == {"acme/1"}
    assert words in found.errors["acme/1"]
    assert [display.shown.key for display in found.displays] == ["before", "after"]


@pytest.mark.parametrize("error", [SystemExit(0), KeyboardInterrupt(), GeneratorExit()])
def test_what_ends_a_process_is_not_a_failed_metric(error):
    with pytest.raises(type(error)):
        run(raises(error))
    with pytest.raises(PluginError, match="acme/0 failed"):  # as the guard around a plugin tells it
        run(raises(PluginError("acme/0 failed"), error))


def test_a_key_keeps_its_first_value_and_its_first_declaration():
    first = gives(Shown("top1", "proportion", "Top-1"), top1=Proportion.of(1, 2))
    thief = gives(Shown("top1", "score", "Mine"), Shown("more", "score", "More"), top1=1.0, more=2)
    found = run(first, thief, gives(top1=Proportion.of(1, 2)))
    assert found.values == {"top1": Proportion.of(1, 2), "more": 2}
    assert found.errors == {"acme/1": "gives top1, which another metric has given already"}
    assert [(display.shown.key, display.title) for display in found.displays] == [("top1", "Top-1"), ("more", "More")]


def test_find_gives_the_type_that_is_asked_for_or_a_reason():
    shown = ShownMetric(raises(ValueError("no")), (Shown("gone", "score", "Gone"),))
    found = run(gives(ece=0.5, none=Absent("no confidences")), shown)
    assert found.find("ece", float) == 0.5
    assert found.find("ece", Proportion).reason == "ece is of type float, not Proportion"
    assert found.find("none", float).reason == "no confidences"
    assert found.find("gone", float).reason == "the metric acme/1 failed: ValueError: no"
    assert found.find("other", float).reason == "no metric gave other"


def test_values_are_shown_as_declared_where_declared():
    loss = Shown("loss", "score", "Loss", "0 is perfect", format=".1f", places=("report",))
    text = Shown("pair", "score", "Pair", format=lambda pair: " / ".join(map(str, pair)))
    rows = Shown(
        "rows", "table", "Rows", columns=(Column("name", width=9), Column("share", ".1%")),
        heading=lambda rows: f"{len(rows)} rows",
    )  # fmt: skip
    found = run(gives(loss, text, rows, loss=0.25, pair=[1, 2], rows=[{"name": "x", "share": 0.5}, ("y", None)]))
    assert [(display.title, display.text) for display in found.shown("report", "score")] == [
        ("Loss", "0.2"), ("Pair", "1 / 2"),
    ]  # fmt: skip
    assert [display.title for display in found.shown("infer", "score")] == ["Pair"]
    (table,) = found.shown("evaluate", "table")
    assert (table.title, table.rows) == ("2 rows", (("x", "50.0%"), ("y", "-")))


def test_values_without_a_declaration_are_shown_everywhere():
    likely = {"value": 0.5, "low": 0.25, "high": 0.75, "correct": 1, "total": 2}
    found = run(gives(cost=12.34567, grade="B", curve=[1, 2], gone=Absent("no luck"), likely=likely))
    for place in PLACES:
        texts = {display.shown.key: display.text for display in found.shown(place, "other")}
        assert texts == {"cost": "12.35", "grade": "B", "curve": None, "gone": None}
        assert [display.value for display in found.shown(place, "proportion")] == [Proportion(0.5, 0.25, 0.75, 1, 2)]
    assert found.to_json()["likely"] == likely


def test_json_of_typed_values_is_plain():
    value = {"a": [Proportion.of(1, 2)], "b": (Absent("no"), None)}
    got = json_of(value)
    assert json.loads(json.dumps(got)) == got
    assert list(got["a"][0]) == ["value", "low", "high", "correct", "total"]
    assert got["b"] == [{"reason": "no"}, None]
