import base64
import hashlib
import json
import math
import re
import time
from dataclasses import replace
from pathlib import Path

import numpy as np
import pyarrow as pa
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from clsbench.errors import DataError
from clsbench.evaluation.judging import judge
from clsbench.evaluation.metrics.confusion import SHOWN
from clsbench.evaluation.report import render_report, wanted_images, write_report
from clsbench.evaluation.report.formats import figure, fixed, percent
from clsbench.predictions.cells import Names
from clsbench.predictions.manifest import Manifest
from clsbench.predictions.metric import Column, Shown, ShownMetric
from clsbench.predictions.reading import read_predictions
from clsbench.predictions.spill import MEMORY_LIMIT, Spill
from clsbench.predictions.table import PredictionTable
from clsbench.predictions.values import Absent, Proportion

SECTIONS = ["summary", "classes", "confusion", "losses", "labels", "confidence", "errors", "throughput", "provenance"]

HOSTILE = [
    "<script>alert(1)</script>",
    '"><img src=x onerror=alert(1)>',
    "' onmouseover='alert(1)",
    "</script><script>alert(1)</script>",
    "<!--<script>\u2028\u2029 ]]> </style></title>",
    "{{ 7 * 7 }}{% raw %} javascript:alert(1) &lt;b&gt; \u202egpj.exe",
]

HARMLESS = [f"class {k}" for k in range(len(HOSTILE))]


def rows(classes, *, prefix="", reason="damaged"):
    """Forty images, every third wrong, and one unreadable."""
    answers = [
        (f"{prefix}{k}.jpg", classes[k % 4], {classes[(k + (k % 3 == 0)) % 4]: 0.9, classes[5]: 0.1}) for k in range(40)
    ]
    return [*answers, (f"{prefix}bad", classes[0], reason)]


def broken(words):
    """A metric that fails."""

    def fails(outcomes):
        raise ValueError(words)

    return fails


def hostile(words):
    """A metric whose keys, texts and declarations are these words."""
    values = {words: 1.5, "grade": words, "share": Proportion.of(1, 2), "rows": [(words, 1)]}
    shown = (
        Shown("share", "proportion", words, words),
        Shown("rows", "table", words, words, columns=(Column(words, width=9), Column(words))),
    )
    return ShownMetric(lambda outcomes: values, shown)


def render(judged, **options):
    return render_report(judged.evaluation, judged.table, **options)


def test_the_page_is_well_formed_and_has_every_section(birds, parse):
    page = parse(render(birds))
    assert [attributes["id"] for tag, attributes in page.elements if tag == "section"] == SECTIONS
    targets = [attributes["href"][1:] for tag, attributes in page.elements if tag == "a"]
    assert set(targets) <= set(SECTIONS)
    identifiers = [attributes["id"] for _, attributes in page.elements if "id" in attributes]
    assert len(set(identifiers)) == len(identifiers)
    assert "None" not in page.text
    assert not re.search(r"\bnan\b", page.text)


def test_every_number_of_the_facts_stands_in_the_page_in_their_rounding(birds, parse):
    text = parse(render(birds)).text
    metrics = birds.facts["metrics"]
    for name in ("top1", "top5"):
        value = metrics[name]
        assert f"{percent(value['value'])}\n{percent(value['low'])} – {percent(value['high'])}" in text
        assert f"{value['correct']} of {value['total']}" in text
    for name in ("macro", "weighted"):
        assert "\n".join(fixed(metrics[name][key]) for key in ("precision", "recall", "f1")) in text
    assert f"\n{percent(metrics['balanced_accuracy'])}\n" in text
    assert f"\n{fixed(metrics['roc_auc'])}\n" in text
    for name in ("log_loss", "brier", "ece"):
        assert f"\n{figure(metrics[name])}\n" in text
    for row in metrics["reliability"]:
        assert (
            f"{fixed(row['confidence'])}\n{fixed(row['accuracy'])}\n{fixed(row['low'])} – {fixed(row['high'])}" in text
        )
    for row in metrics["coverage"]:
        assert f"{row['threshold']:.2f}\n{row['kept']}\n{percent(row['coverage'])}\n{percent(row['accuracy'])}" in text
    for row in metrics["coverage_for_accuracy"]:
        if row["threshold"] is not None:
            assert f"{row['target']:.0%}\n{row['kept']}\n{percent(row['coverage'])}\n{fixed(row['threshold'])}" in text
    for row in metrics["top_losses"]:
        assert (
            f"{row['name']}\n{row['label']}\n{row['predicted']}\n{fixed(row['loss'])}\n"
            f"{fixed(math.exp(-row['loss']))}\n{fixed(row['probability'])}" in text
        )
    for row in metrics["label_errors"]["images"]:
        assert f"{row['name']}\n{row['label']}\n{row['suggested']}\n{fixed(row['label_probability'])}" in text
    for row in metrics["confused_pairs"]["pairs"]:
        assert f"{row['label']}\n{row['predicted']}\n{row['count']}\n{percent(row['share'])}" in text


def test_a_tile_of_a_top_loss_has_its_file_its_loss_and_both_probabilities(birds, parse, thumbnail):
    worst = birds.facts["metrics"]["top_losses"][0]
    text = parse(render(birds, thumbnails={worst["name"]: thumbnail()})).text
    tile = [
        "actual", worst["label"], "predicted", worst["predicted"], "loss", fixed(worst["loss"]),
        "p(actual)", fixed(math.exp(-worst["loss"])), "p(predicted)", fixed(worst["probability"]), worst["name"],
    ]  # fmt: skip
    assert "\n".join(tile) in text


def test_a_tile_keeps_the_whole_name_of_its_file(judge, parse, thumbnail):
    name = "a folder/of a long name/WhatsApp Image 2024-05-07 at 10.02.33.jpeg"
    judged = judge(["a", "b"], [(name, "a", {"a": 0.1, "b": 0.9}), ("b.jpg", "b", {"a": 0.1, "b": 0.9})])
    text = parse(render(judged, thumbnails={name: thumbnail()})).text
    assert "\n…/WhatsApp Image 2024-05-07 at 10.02.33.jpeg\n" in text


def test_few_images_fill_few_bins_and_the_page_says_why(judge, birds, parse):
    few = parse(render(judge(["a", "b"], [(f"{k}", "a", {"a": 0.7, "b": 0.3}) for k in range(30)]))).text
    assert "from 1 bin: 2 need 40 images, 15 need 300 images." in few
    assert "More bins would show noise" in few
    assert "More bins" not in parse(render(birds)).text


def test_equally_bad_classes_stand_in_the_order_of_their_images(judge, parse):
    classes = ["one", "three", "two", "good"]
    rows = [(f"{name}{k}", name, {"good": 1}) for name, count in (("one", 1), ("three", 3), ("two", 2), ("good", 2))
            for k in range(count)]  # fmt: skip
    text = parse(render(judge(classes, rows))).text
    assert re.search(r"\nthree\n3\n.*\ntwo\n2\n.*\none\n1\n", text, re.DOTALL)


def test_the_per_class_table_is_worst_first_and_knows_what_is_not_defined(birds, parse):
    text = parse(render(birds)).text
    metrics = birds.facts["metrics"]
    present = {name: row for name, row in metrics["per_class"].items() if row["support"]}
    places = []
    for name, row in present.items():
        numbers = [
            fixed(row["precision"]),
            fixed(row["recall"]),
            f"{fixed(row['recall_low'])} – {fixed(row['recall_high'])}",
        ]
        line = "\n".join(
            [name, str(row["support"]), *numbers, fixed(row["f1"]), fixed(metrics["roc_auc_per_class"][name])]
        )
        places.append((text.index(line), row["f1"]))
    assert [f1 for _, f1 in sorted(places)] == sorted(f1 for _, f1 in places)
    assert "firecrest\n0\n–\n–\n–\n–\n–" in text
    assert "1 of 6 classes has no labelled image" in text


def test_the_confusion_matrix_and_what_is_behind_it_are_those_of_the_facts(birds, parse):
    data = parse(render(birds)).data
    matrix = np.array(birds.facts["metrics"]["confusion"]["matrix"])
    assert data["classes"] == birds.facts["classes"]
    assert data["support"] == matrix.sum(axis=1).tolist()
    cells = np.array(data["cells"]).reshape(-1, 3)
    found = np.zeros_like(matrix)
    found[cells[:, 0], cells[:, 1]] = cells[:, 2]
    assert found.tolist() == matrix.tolist()
    for label, predicted, listed in data["images"]:
        names = listed[0::3]
        assert len(names) == len(set(names)) <= matrix[label, predicted]
        assert all(name.startswith(f"{birds.facts['classes'][label]}/") for name in names)
        if label != predicted:
            assert len(names) == matrix[label, predicted]


def test_unreadable_images_stand_there_with_their_reasons(birds, parse):
    text = parse(render(birds)).text
    assert "auk/broken.jpg\nthe file is empty (0 bytes)\neider/half.jpg\ntruncated" in text
    assert "2 images could not be classified and are not counted in any number here." in text
    assert "1 of 303 images has no label." in text


def test_nothing_is_asked_for_from_elsewhere(birds, parse, thumbnail):
    html = render(birds, thumbnails={name: thumbnail() for name in wanted_images(birds.evaluation, birds.table)})
    page = parse(html)
    links = [
        attributes[name] for _, attributes in page.elements for name in ("src", "href", "srcset", "action", "data")
        if name in attributes
    ]  # fmt: skip
    assert links
    assert all(link.startswith(("#", "data:image/jpeg;base64,")) or link == "data:," for link in links)
    assert not re.search(r"https?://|url\(|@import|@font-face", html)


def test_only_our_script_may_run(birds, parse):
    page = parse(render(birds))
    policies = [attributes["content"] for _, attributes in page.elements if "http-equiv" in attributes]
    data, script = page.raw["script"]
    digest = base64.b64encode(hashlib.sha256(script.encode()).digest()).decode()
    assert policies == [
        f"default-src 'none'; style-src 'unsafe-inline'; script-src 'sha256-{digest}'; img-src data:; "
        "base-uri 'none'; form-action 'none'"
    ]
    assert [attributes.get("type") for tag, attributes in page.elements if tag == "script"] == [
        "application/json",
        None,
    ]
    json.loads(data)


def test_names_reasons_and_manifests_cannot_become_markup(judge, parse, measure):
    shapes = []
    for classes, evil in ((HARMLESS, "harmless"), (HOSTILE, " ".join(HOSTILE))):
        speed = {"images_per_second": 7, "verdict": evil, "read_ms_per_image": 1}
        manifest = {"images": evil, "started": evil, "throughput": speed, "device": {evil: evil}}
        manifest["model"] = {"file": evil, "card": {"classes": classes, "model": {"name": evil}}}
        judged = judge(classes, rows(classes, prefix=evil, reason=evil), manifest)
        table = replace(judged.table, notes=(*judged.table.notes, evil))
        evaluation = measure(table, [(evil, broken(evil)), ("acme/evil", hostile(evil))])
        names = wanted_images(evaluation, table)
        thumbnails = dict.fromkeys(names, b"\xff\xd8\xff")
        page = parse(render_report(evaluation, table, title=evil, thumbnails=thumbnails))
        shapes.append(page.shape)
    assert shapes[0] == shapes[1]
    assert not [name for _, names in shapes[1] for name in names if name.startswith("on")]
    assert "<script>alert(1)</script>" in page.text
    assert not re.search("[\u2028\u2029\u202e]", page.source)
    assert page.data["classes"][:4] == HOSTILE[:4]
    assert page.data["classes"][5].endswith("\\u202egpj.exe")
    assert page.data["images"][0][2][0].startswith(HOSTILE[0])


@settings(max_examples=25, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    names=st.lists(
        st.text(st.characters(exclude_categories=["Cs"], exclude_characters="\0\r\n"), min_size=1),
        min_size=6,
        max_size=6,
        unique=True,
    )
)
def test_whatever_classes_are_called_the_page_is_the_same(names, judge, parse):
    plain = parse(render(judge(HARMLESS, rows(HARMLESS))))
    page = parse(render(judge(names, rows(names))))
    assert page.shape == plain.shape
    assert len(page.data["classes"]) == 6


def test_bytes_that_are_no_text_are_shown_as_escapes(judge, parse):
    judged = judge(["a", "b"], [("caf\udce9.jpg", "a", {"b": 1}), ("y", "b", {"b": 1})])
    html = render(judged)
    html.encode("utf-8")
    assert "caf\\udce9.jpg" in parse(html).text


def test_metrics_that_are_missing_leave_their_reason(birds, parse):
    def fails(outcomes):
        raise ZeroDivisionError("no such luck")

    page = parse(render_report(judge(birds.table, [("confusion", ShownMetric(fails, SHOWN))]), birds.table))
    assert [attributes["id"] for tag, attributes in page.elements if tag == "section"] == SECTIONS
    assert page.text.count("the metric confusion failed: ZeroDivisionError: no such luck") == 2
    for key in ("top1", "macro", "per_class", "top_losses", "label_errors", "reliability", "coverage"):
        assert f"no metric gave {key}" in page.text
    assert page.data["cells"] == []


def test_a_file_of_classes_alone_says_what_it_lacks(tmp_path, parse, measure):
    file = tmp_path / "bare.csv"
    file.write_text("path,label,predicted\nx,a,a\ny,b,a\n")
    with read_predictions(file) as table:
        text = parse(render_report(measure(table), table)).text
    assert "needs the probabilities of all classes: infer with --probabilities" in text
    assert "the confidence is not known for 2 images" in text
    assert "the predictions have no manifest beside them" in text


def test_what_plugins_measure_is_listed_beside_ours(birds, parse, measure):
    more = {"cost": 12.34567, "grade": "B", "curve": [1, 2], "gone": Absent("no luck")}
    more["share"] = {"value": 0.875, "low": 0.8, "high": 0.9, "correct": 7, "total": 8}
    text = parse(render_report(measure(birds.table, [("acme/more", lambda outcomes: more)]), birds.table)).text
    assert "cost\nfrom a plugin\n12.35" in text
    assert "grade\nfrom a plugin\nB" in text
    assert "curve\nfrom a plugin\nmore than one number: see evaluate --json" in text
    assert "gone\nfrom a plugin\nno luck" in text
    assert "share\n87.50%\n80.00% – 90.00%\n7 of 8" in text


@pytest.mark.parametrize("with_everything", [True, False])
def test_degenerate_predictions_have_a_page_too(outcomes, bare, with_everything, evaluation_of, parse):
    evaluation = evaluation_of(outcomes if with_everything else bare)
    page = parse(render_report(evaluation))
    facts = evaluation.to_json()
    assert percent(facts["metrics"]["top1"]["value"]) in page.text
    assert "None" not in page.text
    assert "this page was made" in page.text or facts["metrics"]["confusion"].get("cells")


def test_thumbnails_are_embedded_where_they_are_given(birds, parse, thumbnail):
    wanted = wanted_images(birds.evaluation, birds.table)
    page = parse(render(birds, thumbnails={name: thumbnail() for name in wanted}))
    shown = [attributes for tag, attributes in page.elements if tag == "img"]
    losses = [row["name"] for row in birds.facts["metrics"]["top_losses"][:48]]
    assert {attributes["alt"] for attributes in shown} >= set(losses)
    keys = {attributes["data-thumbnail"] for attributes in shown} | page.data["thumbnails"].keys()
    listed = {str(key) for *_, images in page.data["images"] for key in images[2::3] if key is not None}
    assert listed <= keys
    assert "There are no images" not in page.text
    assert not [1 for tag, _ in parse(render(birds)).elements if tag == "img"]
    assert "There are no images in this report" in parse(render(birds)).text


def test_thumbnails_that_do_not_fit_are_counted(birds, parse, thumbnail):
    wanted = wanted_images(birds.evaluation, birds.table)
    page = parse(render(birds, thumbnails={name: thumbnail(200_000) for name in wanted}))
    assert len(page.source) < 3_000_000
    assert re.search(r"\d+ images were left out to keep this file small", page.text)


def big(count, classes, accuracy=0.5):
    random = np.random.default_rng(0)
    labels = random.integers(0, classes, count)
    predicted = np.where(random.random(count) < accuracy, labels, random.integers(0, classes, count))
    confidence = random.beta(5, 1, count)
    names = pa.array(
        [f"n{label:08d}/ILSVRC2012_val_{k:08d}.JPEG".encode() for k, label in enumerate(labels)], pa.large_binary()
    )
    return PredictionTable(
        file=Path("big.csv"), names=Names(names), classes=tuple(f"n{k:08d} some class" for k in range(classes)),
        labels=labels.astype(np.int32), ranked=predicted.astype(np.int32)[:, None], confidence=confidence,
        label_confidence=np.where(predicted == labels, confidence, 1 - confidence), probabilities=None, errors={},
        manifest=Manifest(), notes=(), spill=Spill(MEMORY_LIMIT),
    )  # fmt: skip


@pytest.mark.parametrize(("count", "classes"), [(10_000, 1000), (10_000, 10), (200_000, 1000)])
def test_many_images_and_classes_stay_small_and_quick(count, classes, parse, thumbnail, measure):
    table = big(count, classes)
    evaluation = measure(table)
    start = time.monotonic()
    html = render_report(
        evaluation, table, thumbnails={name: thumbnail(5000) for name in wanted_images(evaluation, table)}
    )
    assert time.monotonic() - start < 10
    assert len(html.encode()) < 5_000_000
    page = parse(html)
    rows = [attributes for tag, attributes in page.elements if "data-class" in attributes]
    assert len(rows) == classes
    assert ("1,000 classes are too many for a square" in page.text) == (classes == 1000)
    assert len(page.data["images"]) > classes


def test_a_report_is_written_whole_or_not_at_all(tmp_path, birds):
    file = tmp_path / "made" / "report.html"
    for title in ("Äpfel", "Birnen"):
        write_report(file, birds.evaluation, birds.table, title=title)
        assert file.read_bytes() == render(birds, title=title).encode()
    assert [path.name for path in file.parent.iterdir()] == ["report.html"]
    (tmp_path / "folder").mkdir()
    for impossible in (tmp_path / "folder", file / "below"):
        with pytest.raises(DataError, match="the report cannot be written"):
            write_report(impossible, birds.evaluation)
    assert sorted(path.name for path in tmp_path.iterdir() if path.is_dir()) == ["folder", "made"]
    assert not list(tmp_path.rglob("*.partial"))
