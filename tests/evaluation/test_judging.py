import json
from dataclasses import replace

import numpy as np
import pytest

from clsbench import __version__, builtin
from clsbench.errors import DataError
from clsbench.evaluation.judging import judge
from clsbench.predictions.reading import read_predictions
from clsbench.predictions.values import json_of

BUILT_IN = [(component.name, component.build()) for component in builtin.register_metrics()]

METRICS = [name for name, _ in BUILT_IN]


@pytest.fixture
def file(tmp_path):
    """Three classes, six rows: one unreadable, one without a label."""
    path = tmp_path / "preds.csv"
    path.write_text(
        "path,label,predicted,error,p:a,p:b,p:c\n"
        "1.png,a,a,,0.75,0.125,0.125\n"
        "2.png,b,a,,0.5,0.25,0.25\n"
        "3.png,b,b,,0.125,0.875,0\n"
        "4.png,a,,damaged,,,\n"
        "5.png,,c,,0,0,1\n"
        "6.png,c,c,,0.25,0.25,0.5\n"
    )
    return path


def facts(file, metrics=BUILT_IN):
    with read_predictions(file) as table:
        return judge(table, metrics).to_json()


def test_facts_are_json_with_the_documented_keys(file):
    got = facts(file)
    assert json.loads(json.dumps(got, allow_nan=False)) == got
    assert got["counts"] == {"total": 6, "ok": 5, "errors": 1, "labelled": 5, "judged": 4}
    assert (got["schema"], got["clsbench"], got["predictions"]) == (1, __version__, str(file))
    assert (got["classes"], got["model"], got["throughput"]) == (["a", "b", "c"], None, None)
    assert (got["metric_errors"], got["notes"]) == ({}, [])
    keys = (
        "top1 balanced_accuracy macro weighted log_loss brier ece reliability roc_auc roc_auc_per_class coverage "
        "coverage_for_accuracy per_class confusion confused_pairs top_losses label_errors"
    )
    assert list(got["metrics"]) == keys.split()
    assert got["metrics"]["top1"]["value"] == 0.75
    assert got["metrics"]["log_loss"] == pytest.approx(-np.log([0.75, 0.25, 0.875, 0.5]).mean())
    assert [row["name"] for row in got["metrics"]["top_losses"]] == ["2.png"]


def test_what_infer_left_beside_the_file_is_taken_over(file):
    beside = {
        "images": "/photos",
        "model": {"file": "m.onnx", "card": {"classes": ["a", "b", "c"]}},
        "throughput": {"images_per_second": 7},
        "device": {"device": "cpu"},
    }
    file.with_name("preds.csv.json").write_text(json.dumps(beside))
    got = facts(file)
    assert {name: got[name] for name in beside} == beside


@pytest.mark.parametrize("name", METRICS)
def test_metrics_hold_in_degenerate_cases_as_json(name, outcomes, bare):
    metric = dict(BUILT_IN)[name]
    for given in (outcomes, bare, replace(bare, ranked=bare.ranked[:, :1])):
        json.dumps(json_of(metric(given)), allow_nan=False)


@pytest.mark.parametrize("name", METRICS)
def test_metrics_do_without_any_confidence(name, bare):
    unknown = np.full(len(bare.labels), np.nan)
    found = dict(BUILT_IN)[name](replace(bare, confidence=unknown, label_confidence=unknown))
    assert found
    json.dumps(json_of(found), allow_nan=False)


def broken(outcomes):
    raise ZeroDivisionError("no such luck")


def test_a_plugins_metric_stands_beside_ours_and_a_broken_one_costs_its_own_values(file):
    metrics = [
        *BUILT_IN[:1],
        ("acme/broken", broken),
        ("acme/nan", lambda outcomes: {"half": float("nan")}),
        ("acme/array", lambda outcomes: {"values": outcomes.confidence}),
        ("acme/thief", lambda outcomes: {"top1": 1.0, "extra": 2}),
        ("acme/fine", lambda outcomes: {"cost": float(outcomes.probabilities[:, 0].sum())}),
    ]
    got = facts(file, metrics)
    assert got["metrics"].keys() == {"top1", "extra", "cost"}
    assert got["metrics"]["top1"]["value"] == 0.75
    assert got["metrics"]["cost"] == 1.625
    errors = got["metric_errors"]
    assert errors.keys() == {"acme/broken", "acme/nan", "acme/array", "acme/thief"}
    assert errors["acme/broken"] == "ZeroDivisionError: no such luck"
    assert "top1, which another metric" in errors["acme/thief"]


def test_a_file_without_labels_is_an_error(file):
    file.write_text("path,predicted\nx,a\n")
    with pytest.raises(DataError, match="no image has a label"):
        facts(file)


def test_a_file_of_classes_alone_still_has_its_accuracy(file):
    file.write_text("path,label,predicted\nx,a,a\ny,b,a\n")
    got = facts(file)
    assert got["metrics"]["top1"]["value"] == 0.5
    for name in ("log_loss", "brier", "ece", "roc_auc", "coverage", "label_errors"):
        assert got["metrics"][name].keys() == {"reason"}
    assert [row["name"] for row in got["metrics"]["top_losses"]] == ["y"]


def test_an_evaluation_is_a_table_of_its_classes(file):
    with read_predictions(file) as table:
        found, bare = judge(table, BUILT_IN), judge(table, [])
    rows = found.to_arrow().to_pylist()
    facts = found.to_json()["metrics"]
    assert [row["class"] for row in rows] == ["a", "b", "c"]
    for row in rows:
        assert {**facts["per_class"][row["class"]], "roc_auc": facts["roc_auc_per_class"][row["class"]]} == {
            key: value for key, value in row.items() if key != "class"
        }
    with pytest.raises(DataError, match="no per-class table"):
        bare.to_arrow()
