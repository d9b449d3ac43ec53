"""``clsbench evaluate``: a predictions file judged, without the model."""

import csv
import json
import os
import re
from itertools import dropwhile, takewhile
from pathlib import Path

import numpy as np
import pytest
from PIL import Image
from sklearn import metrics as sk

CLASSES = ("ant", "bee", "cat", "dog")

RANDOM = np.random.default_rng(0)
LABELS = RANDOM.integers(0, len(CLASSES), 120)
CHANCES = (RANDOM.dirichlet(np.ones(len(CLASSES)), 120) + 0.6 * np.eye(len(CLASSES))[LABELS]) / 1.6
#: Thousandths, so that what the file says is exact.
THOUSANDTHS = RANDOM.multinomial(1000, CHANCES)
PREDICTED = THOUSANDTHS.argmax(axis=1)

PLUGIN = """
    from clsbench import Component, hookimpl

    def build(*, factor: float = 1.0):
        return lambda outcomes: {"mistakes": factor * float((outcomes.predicted != outcomes.labels).sum())}

    def broken():
        return lambda outcomes: 1 / 0

    def likely():
        return lambda outcomes: {"likely": {"value": 0.5, "low": 0.25, "high": 0.75, "total": 120}}

    @hookimpl
    def register_metrics():
        yield Component("mistakes", build)
        yield Component("broken", broken)
        yield Component("likely", likely)
"""


def write(file, columns, rows):
    with Path(file).open("w", newline="", encoding="utf-8") as lines:
        csv.writer(lines).writerows([columns, *rows])
    return Path(file)


@pytest.fixture
def preds(cli):
    """A file with the probabilities of all classes."""
    rows = [
        (f"{k}.png", CLASSES[LABELS[k]], CLASSES[PREDICTED[k]], *(f"{p / 1000:.6f}" for p in THOUSANDTHS[k]))
        for k in range(len(LABELS))
    ]
    return write("preds.csv", ["path", "label", "predicted", *(f"p:{name}" for name in CLASSES)], rows)


@pytest.fixture
def evaluated(cli):
    """evaluated(file, …): what --json says, after checking that all went well."""

    def run(*arguments):
        done = cli("evaluate", *arguments, "--json", "facts.json")
        assert done.code == 0, done.stderr
        return json.loads(Path("facts.json").read_text(encoding="utf-8"))

    return run


def table(stdout, title):
    """The rows of a printed table, its header first, without the rule below it."""
    below = list(dropwhile(lambda line: not line.startswith(title), stdout.splitlines()))[1:]
    rows = list(takewhile(str.strip, dropwhile(lambda line: not line.strip(), below)))
    return [row for row in rows if row.strip(" ─")]


def test_every_number_is_that_of_scikit_learn(evaluated, preds):
    facts = evaluated(preds)
    got, chances = facts["metrics"], THOUSANDTHS / 1000
    assert facts["counts"] == {"total": 120, "ok": 120, "errors": 0, "labelled": 120, "judged": 120}
    assert got["top1"]["value"] == pytest.approx(sk.accuracy_score(LABELS, PREDICTED))
    assert got["balanced_accuracy"] == pytest.approx(sk.balanced_accuracy_score(LABELS, PREDICTED))
    for kind in ("macro", "weighted"):
        want = sk.precision_recall_fscore_support(LABELS, PREDICTED, average=kind)[:3]
        assert [got[kind][name] for name in ("precision", "recall", "f1")] == pytest.approx(want)
    assert got["log_loss"] == pytest.approx(sk.log_loss(LABELS, chances), rel=1e-6)
    assert got["brier"] == pytest.approx(sk.brier_score_loss(LABELS, chances, scale_by_half=False), rel=1e-6)
    assert got["roc_auc"] == pytest.approx(sk.roc_auc_score(LABELS, chances, multi_class="ovr"))
    assert got["confusion"]["matrix"] == sk.confusion_matrix(LABELS, PREDICTED).tolist()
    assert [row["support"] for row in got["per_class"].values()] == np.bincount(LABELS).tolist()


def test_the_tables_say_what_the_json_says(cli, preds):
    done = cli("evaluate", preds, "--json", "facts.json")
    got = json.loads(Path("facts.json").read_text(encoding="utf-8"))["metrics"]
    top1 = got["top1"]
    shown = f"{top1['value']:.2%}  {top1['low']:.2%} – {top1['high']:.2%}  {top1['correct']} of 120"
    assert shown.split() == table(done.stdout, "Accuracy")[1].split()[1:]
    summary = "\n".join(table(done.stdout, "Summary"))
    assert [f"{got[name]:.4f}" in summary for name in ("log_loss", "brier", "ece", "roc_auc")] == [True] * 4
    classes = [row.split()[0] for row in table(done.stdout, "Per class")[1:-1]]
    assert classes == sorted(got["per_class"], key=lambda name: got["per_class"][name]["f1"])


def test_json_on_stdout_is_alone_there(cli, preds):
    done = cli("evaluate", preds, "--json", "-")
    assert json.loads(done.stdout)["schema"] == 1


def test_piped_tables_fit_80_columns_and_hold_no_escape_codes(cli, preds, monkeypatch):
    monkeypatch.setenv("COLUMNS", "80")
    done = cli("evaluate", preds)
    assert done.code == 0, done.stderr
    assert "\x1b" not in done.stdout + done.stderr
    rows = [row for title in ("Accuracy", "Summary", "Per class", "Most confused", "Coverage", "Top losses")
            for row in table(done.stdout, title)]  # fmt: skip
    assert len(rows) > 20
    assert max(map(len, rows)) <= 80


def test_of_a_thousand_classes_the_worst_ten_and_the_best_five_are_shown(cli, monkeypatch):
    monkeypatch.setenv("COLUMNS", "80")
    names = [f"a rather long name of a class, such as {k:04}" for k in range(1000)]
    wrong = {7, 100, 205, 310, 415, 520, 625, 730, 835, 940}
    answers = [names[k + (k in wrong and i == 0)] for k in range(1000) for i in range(3)]
    rows = [(f"a folder with a long name/{k}.jpg", names[k // 3], said, 0.9) for k, said in enumerate(answers)]
    done = cli("evaluate", write("preds.csv", ["path", "label", "predicted", "confidence"], rows), "--min-count", 1)
    assert done.code == 0, done.stderr
    shown = table(done.stdout, "Per class: the 10 worst and 5 best of 1000")
    assert shown[11].strip() == "…"
    assert len(shown) == 1 + 10 + 1 + 5 + 1, "no row is broken"
    assert {int(re.findall("as ([0-9]{4}) ", row)[0]) for row in shown[1:11]} == wrong
    assert all("1.000" in row.split()[-2] for row in shown[12:17])
    for title in ("Accuracy", "Summary", "Per class", "Most confused", "Coverage", "Top losses"):
        assert max(map(len, table(done.stdout, title))) <= 80
    assert len(table(done.stdout, "Top losses")) == 6


def test_a_plugins_metric_stands_beside_ours(cli, preds, fake_distribution):
    fake_distribution("clsbench-acme", PLUGIN)
    done = cli(
        "evaluate", preds, "--metric", "mistakes", "--with", "metric.factor=2", "--html", "p.html", "--json", "f.json"
    )
    assert done.code == 0, done.stderr
    wrong = 2 * int((LABELS != PREDICTED).sum())
    assert json.loads(Path("f.json").read_text())["metrics"]["mistakes"] == wrong
    assert f"mistakes {wrong}" in " ".join(done.stdout.split())
    assert "mistakes" in Path("p.html").read_text(encoding="utf-8").lower()


def test_a_failing_metric_costs_its_own_values_only(cli, preds, fake_distribution):
    fake_distribution("clsbench-acme", PLUGIN)
    done = cli("evaluate", preds, "--metric", "broken", "--metric", "mistakes")
    assert done.code == 0, done.stderr
    assert "acme/broken failed: ZeroDivisionError" in done.stderr
    assert "mistakes" in done.stdout


def test_a_plugins_metric_may_have_an_interval_and_no_count(cli, preds, fake_distribution):
    fake_distribution("clsbench-acme", PLUGIN)
    done = cli("evaluate", preds, "--metric", "likely")
    assert done.code == 0, done.stderr
    assert "Per class" in done.stdout


def test_confused_pairs_are_those_that_occur_often_enough(evaluated, preds):
    matrix = sk.confusion_matrix(LABELS, PREDICTED)
    np.fill_diagonal(matrix, 0)
    for least in (1, 2, int(matrix.max()), int(matrix.max()) + 1):
        assert evaluated(preds, "--min-count", least)["metrics"]["confused_pairs"]["found"] == (matrix >= least).sum()


def test_labels_from_a_file_replace_those_in_the_predictions(cli, evaluated, preds):
    rows = [(f"{k}.png", CLASSES[PREDICTED[k]]) for k in range(1, len(LABELS))]
    labels = write("labels.csv", ["path", "label"], rows)
    facts = evaluated(preds, "--labels", labels)
    assert (facts["metrics"]["top1"]["value"], facts["counts"]["judged"]) == (1, 119)
    assert "1 image of 120 without a label" in cli("evaluate", preds, "--labels", labels).stderr


def test_a_foreign_file_is_read_by_its_own_names(evaluated, preds):
    rows = [(f"{k}.png", CLASSES[t], CLASSES[p]) for k, (t, p) in enumerate(zip(LABELS, PREDICTED, strict=True))]
    foreign = write("foreign.csv", ["file", "truth", "pred"], rows)
    facts = evaluated(foreign, "--columns", "path=file,label=truth,predicted=pred")
    ours = evaluated(preds)["metrics"]
    assert {name: facts["metrics"][name] for name in ("top1", "per_class", "confusion")} == {
        name: ours[name] for name in ("top1", "per_class", "confusion")
    }
    assert facts["metrics"]["log_loss"].keys() == facts["metrics"]["ece"].keys() == {"reason"}


def test_plots_are_two_pngs(cli, preds):
    done = cli("evaluate", preds, "--plots", "new/plots")
    assert done.code == 0, done.stderr
    for name in ("confusion.png", "reliability.png"):
        with Image.open(Path("new/plots") / name) as picture:
            assert picture.format == "PNG"
    assert sorted(os.listdir("new/plots")) == ["confusion.png", "reliability.png"]


def test_without_confidences_the_plot_of_them_is_left_out_and_told(cli):
    preds = write("preds.csv", ["path", "label", "predicted"], [("1.png", "ant", "ant"), ("2.png", "bee", "ant")])
    done = cli("evaluate", preds, "--plots", "plots")
    assert done.code == 0, done.stderr
    assert "not drawn: reliability.png" in done.stderr
    assert os.listdir("plots") == ["confusion.png"]


def test_html_is_one_file(cli, preds):
    before = set(os.listdir("."))
    assert cli("evaluate", preds, "--html", "page.html").code == 0
    assert set(os.listdir(".")) - before == {"page.html"}
    page = Path("page.html").read_text(encoding="utf-8")
    assert page.lower().startswith("<!doctype html>")
    assert not [way for way in ('src="http', 'href="http', "url(http") if way in page]


HEAD = "path,label,predicted\n"


@pytest.mark.parametrize(
    ("content", "words"),
    [
        ("file,class\n1.png,ant\n", ["not a predictions file", "the columns file, class", "path=file,predicted=class"]),
        ("path,pred,label\n1.png,ant,ant\n", ["lacks the column predicted", "--columns predicted=pred"]),
        ("", ["predictions file is empty", "preds.csv"]),
        (HEAD, ["has no rows"]),
        (f"{HEAD}1.png,ant,ant\n2.png,ant,ant\n1.png,bee,ant\n", ["occurs more than once", "1.png", "one row"]),
        (f"{HEAD}1.png,,ant\n", ["no image has a label", "--labels FILE.csv"]),
        ("path,predicted\n1.png,ant\n", ["no image has a label", "--labels FILE.csv"]),
        (f"{HEAD}1.png,ant,\n", ["none of the labelled images was classified"]),
        ("path,label,p:ant,p:bee\n1.png,bees,0.5,0.5\n", ["not among the 2 classes", "'bees'", "did you mean 'bee'?"]),
        ("path,label,p:ant,p:bee\n1.png,bee,0.9,0.9\n", ["not probabilities", "sum 1.8", "1.png"]),
        ("path,label,p:ant,p:bee\n1.png,bee,much,0.9\n", ["cannot be read", "much"]),
        ("path,label,predicted,confidence\n1.png,bee,bee,7\n", ["not a probability", "7 for 1.png"]),
        (f"{HEAD}1.png,ant\n", ["cannot be read"]),
        ("path,label,predicted,label\n1.png,ant,ant,ant\n", ["two columns with the same name", "label"]),
    ],
    ids=lambda value: value[0] if isinstance(value, list) else "",
)
def test_a_file_that_cannot_be_judged(refused, content, words):
    Path("preds.csv").write_text(content, encoding="utf-8")
    refused(1, words, "evaluate", "preds.csv")


def test_a_manifest_of_other_classes_is_refused(refused, preds):
    Path("preds.csv.json").write_text(json.dumps({"model": {"card": {"classes": ["ant", "wasp"]}}}))
    refused(1, ["not the classes of the model", "bee, cat, dog", "ant, wasp"], "evaluate", preds)


@pytest.mark.parametrize(
    ("code", "arguments", "words"),
    [
        (1, ["nowhere.csv"], ["cannot be read", "nowhere.csv"]),
        (2, ["preds.txt"], ["suffix", ".csv or .jsonl or .parquet"]),
        (2, ["preds.csv", "--columns", "path"], ["cannot read the columns", "path=file"]),
        (2, ["preds.csv", "--columns", "=file"], ["cannot read the columns"]),
        (2, ["preds.csv", "--columns", "colour=label"], ["no column 'colour'", "label_confidence"]),
        (2, ["preds.csv", "--columns", "path=label,predicted=label"], ["cannot be two of ours"]),
        (1, ["preds.csv", "--columns", "predicted=pred"], ["no column 'pred'", "the columns path, label"]),
        (2, ["preds.csv", "--images", "."], ["--images", "add --html FILE"]),
        (1, ["preds.csv", "--html", "p.html", "--images", "nowhere"], ["images are not there", "nowhere"]),
        (1, ["preds.csv", "--labels", "nowhere.csv"], ["cannot be read", "nowhere.csv"]),
        (2, ["preds.csv", "--min-count", "0"], ["--min-count"]),
        (2, ["preds.csv", "--metric", "acuracy"], ["unknown metric", "did you mean accuracy"]),
        (1, ["preds.csv", "--html", "taken"], ["taken"]),
        (1, ["preds.csv", "--json", "taken"], ["taken"]),
        (1, ["preds.csv", "--plots", "preds.csv"], ["preds.csv"]),
    ],
    ids=lambda value: " ".join(value) if isinstance(value, list) else "",
)
def test_bad_arguments(refused, preds, code, arguments, words):
    Path("taken").mkdir()
    refused(code, words, "evaluate", *arguments)


@pytest.mark.parametrize("suffix", ["csv", "jsonl", "parquet"])
def test_what_infer_writes_is_judged_end_to_end(cli, evaluated, tiny_onnx, photos, suffix):
    (photos / "val" / "red" / "broken.jpg").write_text("no image")
    out = Path(f"preds.{suffix}")
    done = cli("infer", photos / "val", "--model", tiny_onnx, "--device", "cpu", "--probabilities", "--out", out)
    assert done.code == 0, done.stderr
    facts = evaluated(out)
    assert facts["classes"] == ["red", "green", "blue"]
    assert facts["counts"] == {"total": 7, "ok": 6, "errors": 1, "labelled": 7, "judged": 6}
    assert facts["metrics"]["top1"]["value"] == facts["metrics"]["roc_auc"] == 1
    assert 0 <= facts["metrics"]["brier"] < 0.01
    if suffix == "csv":
        assert {"p:red", "p:green", "p:blue"} <= set(out.read_text().splitlines()[0].split(","))


def test_probabilities_without_a_file_to_write_are_refused(refused, tiny_onnx, photos):
    model = ("--model", tiny_onnx, "--device", "cpu")
    refused(2, ["--probabilities", "--out FILE"], "infer", photos / "val", *model, "--probabilities")


@pytest.mark.parametrize("option", ["confusion.min_count=1", "confusion.min-count=1"])
def test_the_smallest_count_is_given_once(refused, option):
    refused(2, ["given twice", "--min-count", option], "evaluate", "a.csv", "--min-count", 2, "--with", option)
