import csv
import json
import os
import tempfile
import time
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy.special import softmax

from clsbench.card import ModelCard
from clsbench.errors import ClsbenchError, DataError, OptionError
from clsbench.json_fields import write_json
from clsbench.predictions import file_formats, reading, spill
from clsbench.predictions.arrow import is_utf8
from clsbench.predictions.block import Predictions
from clsbench.predictions.label_file import given_labels
from clsbench.predictions.manifest import Manifest, ModelIdentity, manifest_path
from clsbench.predictions.reading import read_predictions
from clsbench.testing import installed
from clsbench.transform import ImageTransform

FORMATS = ("csv", "jsonl", "parquet")
CLASSES = ("wolf, big", "cat", 'dog "Rex"', "null", "p:odd", "é", "7")
CARD = ModelCard(classes=CLASSES, transform=ImageTransform(size=(2, 2)))


def batch(count=40, seed=0, errors=(3, 7), unlabelled=(5,), start=0):
    """Predictions with errors and missing labels among them."""
    random = np.random.default_rng(seed)
    logits = random.normal(size=(count, len(CLASSES))).astype(np.float32) * 3
    labels = random.integers(0, len(CLASSES), count)
    labels[list(unlabelled)] = -1
    logits[list(errors)] = np.nan
    reasons = ["damaged,\nbeyond repair" if k in errors else None for k in range(count)]
    return Predictions([f"some, folder/{start + k}.png" for k in range(count)], logits, reasons, labels)


def clean(count):
    """Predictions without errors, all labelled."""
    return batch(count, errors=(), unlabelled=())


def write(file, *batches, manifest=True, **options):
    with installed("writer", file.suffix[1:]).build(file, CARD, **options) as writer:
        for each in batches:
            writer.write(each)
    if manifest:
        facts = {
            "images": "/photos",
            "model": {"card": CARD.to_json()},
            "counts": {"total": sum(len(each.names) for each in batches)},
        }
        file.with_name(file.name + ".json").write_text(json.dumps(facts))
    return file


@pytest.fixture(params=FORMATS)
def file(request, tmp_path):
    return tmp_path / f"preds.{request.param}"


@pytest.fixture
def foreign(tmp_path):
    """foreign(text): a CSV file of another tool."""

    def make(text, name="other.csv"):
        (tmp_path / name).write_text(text, encoding="utf-8", newline="")
        return tmp_path / name

    return make


@dataclass(frozen=True)
class Copy:
    """A table that outlives its context."""

    table: object
    probabilities: object
    outcomes: object


def read(file, **options):
    with read_predictions(file, **options) as table:
        whole = None if table.probabilities is None else np.array(table.probabilities)
        labelled = ((table.labels >= 0) & (table.predicted >= 0)).any()
        return Copy(table, whole, table.outcomes() if labelled else None)


def refusal(file, **options):
    with pytest.raises(ClsbenchError) as caught, read_predictions(file, **options):
        pass
    return caught.value


# What infer wrote


@pytest.mark.parametrize("limit", [10**9, 1000])
def test_what_was_written_is_read(file, limit):
    first, second = batch(), batch(30, seed=1, start=40)
    got = read(write(file, first, second, probabilities=True, topk=3), memory_limit=limit)
    table, labels = got.table, np.concatenate([first.labels, second.labels])
    assert list(table.names) == first.names + second.names
    assert table.classes == CLASSES
    assert table.labels.tolist() == labels.tolist()
    want = np.concatenate([first.probabilities, second.probabilities])
    np.testing.assert_array_equal(got.probabilities.T, want)
    ok = np.concatenate([first.ok, second.ok])
    best = np.concatenate([first.top(5), second.top(5)])
    np.testing.assert_array_equal(table.ranked[ok], best[ok])
    assert (table.ranked[~ok] == -1).all()
    rows = np.arange(70)
    np.testing.assert_array_equal(table.confidence[ok], want[rows, best[:, 0]][ok])
    known = ok & (labels >= 0)
    np.testing.assert_array_equal(table.label_confidence[known], want[rows, labels][known])
    assert np.isnan(table.label_confidence[~known]).all()
    assert dict(table.errors) == {name: "damaged,\nbeyond repair" for k, name in enumerate(table.names) if not ok[k]}


def test_outcomes_are_the_labelled_and_classified_images(file):
    predictions = batch()
    for limit in (10**9, 1000):
        with read_predictions(write(file, predictions, probabilities=True), memory_limit=limit) as table:
            outcomes = table.outcomes()
            rows = [k for k in range(40) if k not in (3, 7, 5)]
            assert list(outcomes.names) == [predictions.names[k] for k in rows]
            assert outcomes.labels.tolist() == predictions.labels[rows].tolist()
            np.testing.assert_array_equal(outcomes.ranked, predictions.top(5)[rows])
            np.testing.assert_array_equal(outcomes.probabilities, predictions.probabilities[rows])


def test_without_probabilities_the_rounded_confidences_are_taken(file):
    predictions = batch()
    got = read(write(file, predictions, topk=3)).table
    assert got.probabilities is None
    rows = [k for k in range(40) if k not in (3, 7)]
    np.testing.assert_array_equal(got.ranked[rows], predictions.top(3)[rows])
    values = predictions.probabilities.astype(float).round(6)
    np.testing.assert_array_equal(got.confidence[rows], values[rows].max(axis=1))
    rows.remove(5)
    np.testing.assert_array_equal(got.label_confidence[rows], values[rows, predictions.labels[rows]])


def test_a_probability_rounded_to_zero_is_half_a_digit_at_most(tmp_path):
    logits = np.array([[30, 0, 0, 0, 0, 0, 0]], np.float32)
    got = read(write(tmp_path / "preds.csv", Predictions(["a.png"], logits, [None], np.array([1]))))
    assert (got.table.label_confidence.tolist(), got.outcomes.label_confidence.tolist()) == ([0], [5e-7])
    assert "in 1 row the true class has a probability of 0" in got.table.notes[0]


@pytest.mark.parametrize("probabilities", [True, False])
def test_a_file_of_errors_alone_is_read_and_has_no_outcomes(file, probabilities):
    with read_predictions(write(file, batch(4, errors=range(4), unlabelled=()), probabilities=probabilities)) as table:
        assert (table.predicted == -1).all()
        assert len(table.errors) == 4
        with pytest.raises(DataError, match=r"(?s)none of the labelled images was classified.*damaged"):
            table.outcomes()


def test_unlabelled_predictions_cannot_be_judged(file):
    with (
        read_predictions(write(file, batch(4, errors=(), unlabelled=range(4)))) as table,
        pytest.raises(DataError, match=r"(?s)no image has a label.*--labels"),
    ):
        table.outcomes()


@pytest.mark.parametrize("name", ["a,\n b.png", "return\rhere.png", 'quo"te.png', "\u2028 猫.png", "null", "\\udce9"])
def test_odd_names_survive(file, name):
    assert list(read(write(file, Predictions([name], clean(1).logits, [None], np.array([0])))).table.names) == [name]


WORDS = st.text(st.characters(exclude_categories=["Cs"]), min_size=1, max_size=8)


@given(
    st.lists(WORDS, min_size=1, max_size=5, unique=True), st.lists(WORDS, min_size=2, max_size=4, unique=True),
    st.sampled_from(FORMATS),
)  # fmt: skip
def test_any_names_and_classes_survive(names, classes, suffix):
    card = ModelCard(classes=tuple(classes), transform=ImageTransform(size=(2, 2)))
    logits = np.random.default_rng(0).normal(size=(len(names), len(classes))).astype(np.float32)
    labels = np.arange(len(names)) % len(classes)
    predictions = Predictions(names, logits, [None] * len(names), labels)
    with tempfile.TemporaryDirectory() as folder:
        file = Path(folder) / f"preds.{suffix}"
        with installed("writer", suffix).build(file, card, probabilities=True, topk=2) as writer:
            writer.write(predictions)
        got = read(file)
    assert (list(got.table.names), got.table.classes) == (names, tuple(classes))
    assert got.table.labels.tolist() == labels.tolist()
    np.testing.assert_array_equal(got.probabilities.T, predictions.probabilities)


def test_names_that_are_no_utf8_survive(file):
    logits = np.random.default_rng(0).normal(size=(2, len(CLASSES))).astype(np.float32)
    names = ["caf\udce9.png", "b.png"]
    written = write(file, Predictions(names, logits, [None, "in caf\udce9"], np.array([0, 1])), probabilities=True,
                    **({"binary_paths": True} if file.suffix == ".parquet" else {}))  # fmt: skip
    got = read(written).table
    assert list(got.names) == names
    assert got.errors.keys() == {"b.png"}


#: What pandas, spreadsheets and shells take for something else, beside any name that a file may have.
NAMES = st.one_of(
    st.sampled_from(["NA", "nan", "null", "None", " a ", "a\r", "a\r\nb", "=1+1", "'=1", "''@", "-", "🙂", "\ufeff"]),
    st.binary(min_size=1, max_size=8).filter(lambda data: not {0, ord("/")} & {*data}).map(os.fsdecode),
)


@given(
    st.lists(NAMES, min_size=1, max_size=6, unique=True), st.lists(WORDS, min_size=2, max_size=3, unique=True),
    st.sampled_from(FORMATS), st.booleans(),
)  # fmt: skip
def test_any_name_that_a_file_may_have_survives(names, classes, suffix, escape):
    card = ModelCard(classes=(*classes, *{"NA", "=null"} - {*classes}), transform=ImageTransform(size=(2, 2)))
    labels = np.arange(len(names)) % len(card.classes)
    logits = np.eye(len(card.classes), dtype=np.float32)[labels]
    options = {"escape_formulas": escape} if suffix == "csv" else {}
    if suffix == "parquet":
        options = {"binary_paths": any(not is_utf8(name) for name in names)}
    with tempfile.TemporaryDirectory() as folder:
        file = Path(folder) / f"preds.{suffix}"
        facts = Manifest(model=ModelIdentity(card=card.to_json()), options=options)
        with installed("writer", suffix).build(file, card, topk=1, **options) as writer:
            writer.write(Predictions(names, logits, [None] * len(names), labels))
            if suffix == "parquet":
                writer.describe(facts)
        if suffix != "parquet":
            write_json(manifest_path(file), facts.to_json())
        got = read(file).table
        pairs = given_labels(file)
    assert (list(got.names), got.classes) == (names, card.classes)
    assert (got.labels.tolist(), got.predicted.tolist()) == (labels.tolist(), labels.tolist())
    assert pairs == {name: card.classes[k] for name, k in zip(names, labels, strict=True)}


def test_pandas_reads_the_same_texts(tmp_path):
    names = ["NA", "null", " a ", "a\rb", "a\r\nb", 'q"q', "=1", "🙂"]
    logits = np.random.default_rng(0).normal(size=(len(names), len(CLASSES))).astype(np.float32)
    write(tmp_path / "p.csv", Predictions(names, logits, [None] * len(names)))
    pandas = pytest.importorskip("pandas")
    table = pandas.read_csv(tmp_path / "p.csv", keep_default_na=False)
    assert table["path"].tolist() == names
    assert table["predicted"].tolist() == [CLASSES[k] for k in logits.argmax(1)]


def test_a_parquet_file_alone_knows_its_classes_and_where_its_images_are(tmp_path):
    facts = Manifest(images="/photos", model=ModelIdentity(card=CARD.to_json()))
    for name in ("a.parquet", "b.parquet"):
        with installed("writer", "parquet").build(tmp_path / name, CARD) as writer:
            writer.write(clean(3))
            writer.describe(facts)
    got = read(tmp_path / "a.parquet").table
    assert (got.classes, got.root) == (CLASSES, Path("/photos"))
    assert (tmp_path / "a.parquet").read_bytes() == (tmp_path / "b.parquet").read_bytes()


@pytest.mark.parametrize("text", ["[1", "[" * 100_000, '{"model": 7}', '"text"'])
def test_what_a_parquet_file_says_wrongly_about_itself_is_ignored(tmp_path, text):
    file = tmp_path / "p.parquet"
    table = pa.table({"path": ["a"], "predicted": ["cat"]}).replace_schema_metadata({"clsbench": text})
    pyarrow.parquet.write_table(table, file)
    assert read(file).table.classes == ("cat",)


@pytest.mark.parametrize("brackets", ["[" * 100_000, '{"path": ' * 100_000])
@pytest.mark.parametrize("line", [1, 2])
def test_nesting_without_end_is_an_error(tmp_path, brackets, line):
    for name in ("p.jsonl", "labels.jsonl"):
        good = '{"path": "a", "predicted": "cat", "label": "cat"}\n' * (line - 1)
        (tmp_path / name).write_text(good + brackets)
    with pytest.raises(DataError, match=r"p\.jsonl"):
        read(tmp_path / "p.jsonl")
    with pytest.raises(DataError, match=r"labels\.jsonl"):
        given_labels(tmp_path / "labels.jsonl")


def test_many_parts_give_what_one_gives(file, monkeypatch):
    whole = read(write(file, batch(), probabilities=True))
    monkeypatch.setattr(spill, "PART", 30)
    parts = read(file)
    np.testing.assert_array_equal(parts.table.ranked, whole.table.ranked)
    np.testing.assert_array_equal(parts.table.confidence, whole.table.confidence)


def test_rows_beyond_one_block_of_text(tmp_path):
    file = write(tmp_path / "preds.csv", *(batch(3000, seed=k, start=3000 * k) for k in range(8)), probabilities=True)
    assert file.stat().st_size > 2 << 20
    got = read(file)
    assert len(got.table.names) == 24000
    want = np.concatenate([batch(3000, seed=k).probabilities for k in range(8)])
    np.testing.assert_array_equal(got.probabilities.T, want)


class Scanned(list):
    """A list that counts how often it is searched from end to end."""

    scans = 0

    def __contains__(self, value):
        self.scans += 1
        return super().__contains__(value)

    def count(self, value):
        self.scans += 1
        return super().count(value)


def one_row(file, count):
    card = ModelCard(classes=tuple(f"class {k}" for k in range(count)), transform=ImageTransform(size=(2, 2)))
    logits = np.zeros((1, count), np.float32)
    with installed("writer", file.suffix[1:]).build(file, card, probabilities=True) as writer:
        writer.write(Predictions(["a.png"], logits, [None], np.array([count - 1])))


def test_the_columns_are_not_searched_for_every_class(file, monkeypatch):
    one_row(file, 300)
    opened = file_formats.open_file(file)
    opened.columns = Scanned(opened.columns)
    monkeypatch.setattr(reading, "open_file", lambda _: opened)
    assert len(read(file).table.classes) == 300
    assert opened.columns.scans < 50


def test_many_classes_take_linear_time(tmp_path):
    one_row(tmp_path / "preds.csv", 40_000)
    start = time.process_time()
    got = read(tmp_path / "preds.csv")
    assert time.process_time() - start < 10  # half a second; half a minute where it is quadratic
    assert (got.outcomes.labels.tolist(), len(got.table.classes)) == ([39_999], 40_000)


# Classes and the manifest


def test_the_manifest_says_which_classes_there_are_and_where_the_images_lay(file):
    table = read(write(file, clean(3))).table
    assert (table.classes, table.root) == (CLASSES, Path("/photos"))
    assert table.manifest.classes == CLASSES


def test_without_a_manifest_the_probability_columns_do(file):
    table = read(write(file, clean(3), probabilities=True, manifest=False)).table
    assert (table.classes, table.root, table.notes) == (CLASSES, None, ())


def test_without_either_they_are_the_names_that_occur(foreign):
    got = read(foreign("path,label,predicted\nx,b,c\ny,,a\nz,c,b\n")).table
    assert got.classes == ("a", "b", "c")
    assert (got.labels.tolist(), got.predicted.tolist()) == ([1, -1, 2], [2, 0, 1])
    assert "names that occur" in got.notes[0]


def test_a_manifest_in_another_order_of_classes_is_the_authority(file):
    predictions = clean(10)
    write(file, predictions, probabilities=True)
    card = {**CARD.to_json(), "classes": list(CLASSES[::-1])}
    file.with_name(file.name + ".json").write_text(json.dumps({"model": {"card": card}}))
    got = read(file)
    assert got.table.classes == CLASSES[::-1]
    np.testing.assert_array_equal(got.probabilities.T, predictions.probabilities[:, ::-1])
    assert got.table.predicted.tolist() == (len(CLASSES) - 1 - predictions.top(1)[:, 0]).tolist()


@pytest.mark.parametrize("text", ["{", "[1]", '{"model": null}', '{"model": {"card": {"classes": []}}}'])
def test_what_is_no_manifest_is_left_out_with_a_note(file, text):
    write(file, clean(3), probabilities=True)
    file.with_name(file.name + ".json").write_text(text)
    table = read(file).table
    assert (table.classes, table.manifest) == (CLASSES, Manifest())
    assert "ignored" in table.notes[0]


def test_a_manifest_of_another_number_of_rows_is_noted(tmp_path):
    file = write(tmp_path / "preds.csv", clean(3))
    lines = file.read_text().splitlines(keepends=True)
    file.write_text("".join(lines[:3]))
    assert read(file).table.notes == ("the file has 2 rows, but the manifest beside it says 3",)


def test_probability_columns_of_other_classes_are_refused(file):
    write(file, clean(3), probabilities=True)
    card = {**CARD.to_json(), "classes": [*CLASSES[:-1], "eight"]}
    file.with_name(file.name + ".json").write_text(json.dumps({"model": {"card": card}}))
    error = refusal(file)
    assert "not the classes of the model" in error.what
    assert "7" in error.facts["got"]


@pytest.mark.parametrize("column", ["label", "predicted"])
def test_a_class_that_is_not_among_the_classes_is_refused(foreign, column):
    row = {"label": "a", "predicted": "a"} | {column: "Aa"}
    error = refusal(foreign(f"path,label,predicted,p:a,p:bb\nx,{row['label']},{row['predicted']},0.5,0.5\n"))
    assert error.what == f"a {column} is not among the 2 classes"
    assert (error.facts["got"], error.facts["expected"]) == ("'Aa'", "a, bb")


# Files of other tools


def test_columns_can_be_mapped(foreign):
    text = "file,pred,target,score,prob_a,p:b,path\nx,a,b,0.75,0.75,0.25,ignored\n"
    columns = {"path": "file", "predicted": "pred", "label": "target", "confidence": "score", "p:a": "prob_a"}
    got = read(foreign(text), columns=columns)
    assert list(got.table.names) == ["x"]
    assert (got.table.classes, got.table.labels.tolist()) == (("a", "b"), [1])
    assert got.probabilities.tolist() == [[0.75], [0.25]]


def test_probabilities_are_enough(foreign):
    got = read(foreign("path,label,p:a,p:b\nx,b,0.25,0.75\ny,a,0.5,0.5\nz,a,,\n")).table
    assert got.predicted.tolist() == [1, 0, -1]
    assert dict(got.errors) == {"z": "no prediction"}
    assert got.notes == ()


def test_an_image_with_a_prediction_was_classified_whatever_another_tool_calls_an_error(foreign):
    got = read(foreign("path,label,predicted,error\nx,a,a,0.25\ny,a,,lost\nz,a,,\n")).table
    assert got.predicted.tolist() == [0, -1, -1]
    assert dict(got.errors) == {"y": "lost", "z": "no prediction"}


def test_the_probability_of_the_label_is_known_where_it_was_predicted(foreign):
    got = read(foreign("path,label,predicted,confidence\nx,a,a,0.75\ny,a,b,0.5\nz,b,b,\n")).table
    np.testing.assert_array_equal(got.label_confidence, [0.75, np.nan, np.nan])


def test_types_of_other_parquet_files(tmp_path):
    table = pa.table(
        {
            "path": pa.array(["x", "y"]).dictionary_encode(),
            "label": pa.array([3, 4], pa.int64()),
            "predicted": pa.array(["3", "3"], pa.large_string()),
            "confidence": pa.array([1, 0], pa.int8()),
        }
    )
    pyarrow.parquet.write_table(table, tmp_path / "other.parquet")
    got = read(tmp_path / "other.parquet").table
    assert (got.classes, got.labels.tolist(), got.confidence.tolist()) == (("3", "4"), [0, 1], [1, 0])


def test_a_predicted_class_that_is_not_the_most_probable_is_noted_and_kept(foreign):
    got = read(foreign("path,predicted,p:a,p:b,p:c\nx,a,0.2,0.5,0.3\ny,b,0.25,0.5,0.25\n")).table
    assert got.ranked.tolist() == [[0, 1, 2], [1, 0, 2]]
    assert got.confidence.tolist() == pytest.approx([0.2, 0.5])
    assert got.notes == ("in 1 row the predicted class is not the most probable one",)


def test_rounded_probabilities_are_brought_to_a_sum_of_1(foreign):
    got = read(foreign("path,p:a,p:b,p:c\nx,0.3333,0.3333,0.3333\n"))
    assert got.probabilities.sum() == pytest.approx(1, abs=1e-6)


# Labels from a file


def test_labels_from_a_file_replace_those_of_the_predictions(file, tmp_path):
    predictions = batch(10, errors=(3,), unlabelled=())
    labels = tmp_path / "labels.csv"
    with labels.open("w", newline="") as lines:
        writer = csv.writer(lines)
        writer.writerow(["label", "path", "more"])
        writer.writerows([CLASSES[k % 7], f"./{predictions.names[k]}", "x"] for k in (8, 2, 3, 0))
        writer.writerow(["", predictions.names[1], "x"])
        writer.writerow(["cat", "elsewhere.png", "x"])
    table = read(write(file, predictions, probabilities=True), labels=labels).table
    assert table.labels.tolist() == [0, -1, 2, 3, -1, -1, -1, -1, 1, -1]
    want = softmax(predictions.logits[[0, 2, 8]].astype(float), axis=1)[[0, 1, 2], [0, 2, 1]]
    np.testing.assert_allclose(table.label_confidence[[0, 2, 8]], want, rtol=1e-5)
    assert "6 images of 10 without a label" in table.notes[0]


def test_labels_from_a_file_bring_classes_where_none_are_known(foreign):
    labels = foreign("path,label\nx,c\ny,a\n", "labels.csv")
    got = read(foreign("path,predicted,confidence,label_confidence\nx,b,0.5,0.1\ny,a,0.75,0.1\n"), labels=labels).table
    assert (got.classes, got.labels.tolist()) == (("a", "b", "c"), [2, 0])
    np.testing.assert_array_equal(got.label_confidence, [np.nan, 0.75])


@pytest.mark.parametrize(
    ("text", "what"),
    [
        ("path,class\nx,a\n", "lacks a column"),
        ("path,label\nx,a\nx,b\n", "two labels"),
        ("path,label\nelsewhere/x,a\n", "no path in the labels file"),
        ("path,label\nx,stranger\n", "not among the 2 classes"),
        ("path,label\n", "no rows"),
    ],
)
def test_labels_that_do_not_fit(foreign, text, what):
    labels = foreign(text, "labels.csv")
    error = refusal(foreign("path,p:a,p:b\nx,0.5,0.5\n"), labels=labels)
    assert what in error.what
    assert error.facts["where"] == labels


def test_a_label_given_twice_the_same_is_no_contradiction(foreign):
    labels = foreign("path,label\nx,a\nx,a\n", "labels.csv")
    assert read(foreign("path,p:a,p:b\nx,0.5,0.5\n"), labels=labels).table.labels.tolist() == [0]


def test_a_labels_file_that_is_not_there(foreign, tmp_path):
    assert "No such file" in str(refusal(foreign("path,predicted\nx,a\n"), labels=tmp_path / "none.csv"))


# What is refused


BAD = {
    "not ours": ("file,pred,target\nx,a,b\n", "lacks the column path and the column predicted"),
    "an endless header": ("x" * 200_000, "cannot be read"),
    "other separator": ("path;label;predicted\nx;a;b\n", "lacks the column path"),
    "header only": ("path,label,predicted\n", "no rows"),
    "nothing": ("", "is empty"),
    "a path twice": ("path,predicted\nx,a\ny,a\nx,b\n", "a path occurs more than once"),
    "no path": ("path,predicted\nx,a\n,a\n", "rows have no path"),
    "a short row": ("path,label,predicted\nx,a,b\ny,a\n", "cannot be read"),
    "text for a number": ("path,predicted,confidence\nx,a,high\n", "cannot be read"),
    "percent": ("path,predicted,confidence\nx,a,97.5\n", "a confidence is not a probability"),
    "logits": ("path,p:a,p:b\nx,0.5,0.5\ny,2.5,-1\n", "are not probabilities"),
    "a sum far from 1": ("path,p:a,p:b\nx,0.5,0.49\n", "are not probabilities"),
    "negative": ("path,p:a,p:b\nx,1.5,-0.5\n", "are not probabilities"),
    "a probability missing": ("path,predicted,p:a,p:b\nx,a,1,\n", "are not probabilities"),
    "nan": ("path,predicted,p:a,p:b\nx,a,nan,nan\n", "are not probabilities"),
    "two columns with the same name": ("path,predicted,predicted\nx,a,b\n", "two columns with the same name"),
    "mixed predictions": ("path,predicted,top1,p1\nx,a,b,0.5\n", "predicted and top1 differ"),
}


@pytest.mark.parametrize("name", BAD)
def test_bad_files_are_refused_with_the_reason(foreign, name):
    text, what = BAD[name]
    file = foreign(text)
    error = refusal(file)
    assert isinstance(error, DataError)
    assert what in error.what
    assert error.facts["where"] == file


def test_a_file_that_is_not_ours_says_how_to_map_its_columns(foreign):
    error = refusal(foreign("image,prediction,target\nx,a,b\n"))
    assert error.facts["got"] == "the columns image, prediction, target"
    assert "--columns path=image,predicted=prediction" in error.facts["to do"]
    assert "--columns path=file,predicted=pred" in refusal(foreign("u,v\nx,a\n")).facts["to do"]


def test_many_duplicates_are_counted_and_three_are_named(foreign):
    rows = "".join(f"{k % 6},a\n" for k in range(11))
    error = refusal(foreign(f"path,predicted\n{rows}"))
    assert error.what == "5 paths occur more than once"
    assert error.facts["got"] == "0, 1, 2, …"


def test_columns_that_do_not_exist(foreign):
    file = foreign("path,predicted\nx,a\n")
    assert "no column 'pred'" in refusal(file, columns={"predicted": "pred"}).what
    assert "cannot be two of ours" in refusal(file, columns={"label": "predicted", "predicted": "predicted"}).what
    error = refusal(file, columns={"prediction": "predicted"})
    assert isinstance(error, OptionError)
    assert "label_confidence" in error.facts["expected"]


@pytest.mark.parametrize("name", ["none.csv", "none.jsonl", "none.parquet"])
def test_a_file_that_is_not_there(tmp_path, name):
    assert "No such file" in str(refusal(tmp_path / name))


def test_another_suffix(tmp_path):
    assert ".csv or .jsonl or .parquet" in str(refusal(tmp_path / "preds.txt"))


@pytest.mark.parametrize("name", ["preds.jsonl", "preds.parquet"])
@pytest.mark.parametrize(
    "text",
    [
        "no such format",
        '["path"]',
        "[" * 100_000,
        '{"path": 1, "predicted": "a"}',
        '{"path": "\\udc80", "predicted": "a"}\n[1]',
        '{"path": "\\udc80", "predicted": "a"}\n{"path": 1, "predicted": "a"}',
        '{"path": "\\udc80", "predicted": "a"}\n{"path": "x", "predicted": [1]}',
    ],
)
def test_files_of_another_format(foreign, name, text):
    assert isinstance(refusal(foreign(text + "\n", name)), DataError)


def test_a_damaged_line_of_json(file, tmp_path):
    path = write(tmp_path / "preds.jsonl", clean(4))
    path.write_bytes(path.read_bytes()[:-20])
    assert "cannot be read" in refusal(path).what
