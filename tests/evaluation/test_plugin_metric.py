"""A metric of a plugin: it shows up wherever ours do, by what it declares alone."""

import json
from pathlib import Path

import pytest

PLUGIN = """
    from clsbench import Absent, Column, Component, Proportion, Shown, ShownMetric, hookimpl

    SHOWN = (
        Shown("cost", "score", "Mean cost", "what a mistake costs on average", format=".1f"),
        Shown("careful", "proportion", "Careful answers"),
        Shown("costs", "table", "Costs by class", "the dearest first",
              columns=(Column("class", width=12), Column("cost", ".1f"))),
    )

    def build(*, price: float = 1.0):
        def measure(outcomes):
            wrong = (outcomes.predicted != outcomes.labels)
            each = [float(wrong[outcomes.labels == k].sum()) for k in range(len(outcomes.classes))]
            return {
                "cost": price * float(wrong.mean()),
                "careful": Proportion.of(int((~wrong).sum()), len(wrong)),
                "costs": [(name, price * count) for name, count in zip(outcomes.classes, each)],
            }
        return ShownMetric(measure, SHOWN)

    def thief():
        return lambda outcomes: {"top1": 1.0}

    def plain():
        return lambda outcomes: {"rank": 0.5, "grade": "B", "gmean": Absent("class eel has no image")}

    @hookimpl
    def register_metrics():
        yield Component("cost", build, "what mistakes cost")
        yield Component("thief", thief)
        yield Component("plain", plain)
"""


@pytest.fixture
def preds(cli, fake_distribution):
    """Four images of two classes, one of them wrong, and the plugin."""
    fake_distribution("clsbench-acme", PLUGIN)
    Path("preds.csv").write_text("path,label,predicted\n1,ant,ant\n2,ant,bee\n3,bee,bee\n4,bee,bee\n")
    return "preds.csv"


def facts():
    return json.loads(Path("facts.json").read_text(encoding="utf-8"))["metrics"]


def words(text):
    return " ".join(text.split())


def test_evaluate_shows_its_score_proportion_and_table_in_terminal_json_and_page(cli, preds):
    done = cli(
        "evaluate", preds, "--metric", "cost", "--with", "metric.price=8", "--json", "facts.json", "--html", "p.html"
    )
    assert done.code == 0, done.stderr
    assert "Careful answers 75.00% 30.06% – 95.44% 3 of 4" in words(done.stdout)
    assert "Mean cost 2.0" in words(done.stdout)
    assert "Costs by class class cost ─" in words(done.stdout)
    assert "ant 8.0 bee 0.0" in words(done.stdout)
    assert "Other metrics" not in done.stdout
    assert (facts()["cost"], facts()["costs"]) == (2.0, [["ant", 8.0], ["bee", 0.0]])
    assert facts()["careful"].keys() == {"value", "low", "high", "correct", "total"}
    page = Path("p.html").read_text(encoding="utf-8")
    for part in ("Mean cost <small>what a mistake costs on average", "Careful answers", "<h3>Costs by class</h3>",
                 "the dearest first", '<td>ant</td><td class="number">8.0</td>', '<a href="#more">'):  # fmt: skip
        assert part in page


def test_infer_shows_them_too_and_keeps_its_top1(cli, tiny_onnx, photos, preds):
    done = cli(
        "infer", photos / "val", "--model", tiny_onnx, "--device", "cpu", "--metric", "cost", "--metric", "thief",
        "--json", "facts.json",
    )  # fmt: skip
    assert done.code == 0, done.stderr
    assert "Careful answers 100.00%" in words(done.stdout)
    assert "Mean cost 0.0" in words(done.stdout)
    assert "red 0.0 green 0.0 blue 0.0" in words(done.stdout)
    assert "metric acme/thief failed: gives top1, which another metric has given already" in done.stderr
    assert list(facts()) == ["top1", "per_class", "macro", "cost", "careful", "costs"]
    assert (facts()["top1"]["correct"], facts()["cost"]) == (6, 0.0)


def test_values_that_it_declares_nothing_about_are_listed_with_the_reason_where_there_is_none(cli, preds):
    done = cli("evaluate", preds, "--metric", "plain")
    assert "Other metrics rank 0.5 grade B gmean class eel has no image" in words(done.stdout)


def test_its_options_are_checked_and_it_is_listed(cli, refused, preds):
    refused(2, ["prise", "price"], "evaluate", preds, "--metric", "cost", "--with", "metric.prise=8")
    refused(2, ["price", "dear"], "evaluate", preds, "--metric", "cost", "--with", "metric.price=dear")
    assert "metric: cost, thief, plain" in cli("plugins", "list").stdout
    refused(2, ["unknown metric 'costs'", "cost"], "evaluate", preds, "--metric", "costs")
