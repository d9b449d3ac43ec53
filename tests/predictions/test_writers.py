import csv
import errno
import json
import os

import numpy as np
import pyarrow.parquet
import pytest
from scipy.special import softmax

from clsbench.card import ModelCard
from clsbench.errors import DataError, OptionError
from clsbench.predictions import arrow
from clsbench.predictions.block import Predictions
from clsbench.testing import check_writer, installed
from clsbench.transform import ImageTransform

FORMATS = ("csv", "jsonl", "parquet")
COLUMNS = ["path", "label", "predicted", "confidence", "label_confidence", "correct", "error", "reason"]
CARD = ModelCard(classes=("cat", "big, bad wolf", 'dog "Rex"'), transform=ImageTransform(size=(2, 2)))
LOGITS = np.array([[3, 1, 0], [0, 2, 1], [np.nan] * 3, [0, 1, 4]], np.float32)
BATCH = Predictions(
    ["a.png", "b.png", "c.png", "d.png"],
    LOGITS,
    [None, None, "damaged,\nbeyond repair", None],
    np.array([0, 2, 1, -1]),
    reasons=[None, None, "truncated", None],
)
PROBABILITIES = softmax(LOGITS.astype(float), axis=1)


def write(file, batches=(), topk=0, card=CARD, **options):
    with installed("writer", file.suffix[1:]).build(file, card, topk=topk, **options) as writer:
        for batch in batches:
            writer.write(batch)


def read(file):
    """Rows as dicts of text, number, bool or None, by libraries that know nothing of clsbench."""
    if file.suffix == ".parquet":
        return pyarrow.parquet.read_table(file).to_pylist()
    with file.open(encoding="utf-8", errors="surrogateescape", newline="") as lines:
        if file.suffix == ".jsonl":
            return [json.loads(line) for line in lines]
        return [{name: typed(name, text) for name, text in row.items()} for row in csv.DictReader(lines)]


def typed(name, text):
    if not text:
        return None
    if name == "correct":
        return {"true": True, "false": False}[text]
    return float(text) if "confidence" in name or name.startswith("p:") or name in ("p1", "p2", "p3") else text


def probabilities(row, classes):
    """The numbers of a row by class, from columns or from the object."""
    return row["probabilities"] if "probabilities" in row else {name: row[f"p:{name}"] for name in classes}


@pytest.fixture(params=FORMATS)
def file(request, tmp_path):
    return tmp_path / f"predictions.{request.param}"


def test_it_is_a_writer(file):
    names = check_writer(installed("writer", file.suffix[1:]), file)
    assert [row["path"] for row in read(file)] == names


@pytest.mark.parametrize("topk", [0, 1, 2, 9])
def test_columns_are_the_documented_ones_in_order(file, topk):
    write(file, [BATCH], topk=topk)
    best = [name for k in range(1, min(topk, 3) + 1) for name in (f"top{k}", f"p{k}")]
    assert [list(row) for row in read(file)] == [COLUMNS + best] * 4


def test_values_are_the_probabilities_and_names(file):
    write(file, [BATCH], topk=2)
    first, second, broken, unlabelled = read(file)
    p = PROBABILITIES.round(6)
    best = ["cat", p[0, 0], "big, bad wolf", p[0, 1]]
    assert list(first.values()) == ["a.png", "cat", "cat", p[0, 0], p[0, 0], True, None, None, *best]
    assert list(second.values())[:7] == ["b.png", 'dog "Rex"', "big, bad wolf", p[1, 1], p[1, 2], False, None]
    assert list(broken.values()) == [
        "c.png",
        "big, bad wolf",
        *[None] * 4,
        "damaged,\nbeyond repair",
        "truncated",
        *[None] * 4,
    ]
    assert list(unlabelled.values())[:7] == ["d.png", None, 'dog "Rex"', p[3, 2], None, None, None]


def test_temperature_is_in_the_confidences(file):
    write(file, [Predictions(BATCH.names, LOGITS, BATCH.errors, BATCH.labels, 2.0)])
    assert read(file)[0]["confidence"] == pytest.approx(softmax([1.5, 0.5, 0]).max(), abs=1e-6)


def test_the_three_formats_hold_the_same(tmp_path):
    files = [tmp_path / f"predictions.{name}" for name in FORMATS]
    for file in files:
        write(file, [BATCH, BATCH], topk=3)
    assert read(files[0]) == read(files[1]) == read(files[2])


def test_probabilities_come_last_a_column_each_or_one_object(file):
    write(file, [BATCH], topk=1, probabilities=True)
    more = ["probabilities"] if file.suffix == ".jsonl" else [f"p:{name}" for name in CARD.classes]
    assert [list(row) for row in read(file)] == [[*COLUMNS, "top1", "p1", *more]] * 4


def test_probabilities_are_the_same_float32_when_read(file):
    logits = np.random.default_rng(0).normal(scale=[[0.1], [1], [10], [40]], size=(500, 4, 3)).reshape(-1, 3)
    batch = Predictions([str(k) for k in range(2000)], logits.astype(np.float32), [None] * 2000)
    write(file, [batch], probabilities=True)
    got = np.array([list(probabilities(row, CARD.classes).values()) for row in read(file)])
    np.testing.assert_array_equal(got.astype(np.float32), batch.probabilities)


def test_text_is_as_short_as_the_number_allows(tmp_path):
    logits = np.log(np.array([[0.5, 0.25, 0.25]], np.float32))
    for name in ("csv", "jsonl"):
        write(tmp_path / f"p.{name}", [Predictions(["a"], logits, [None])], probabilities=True)
    assert (tmp_path / "p.csv").read_text().endswith(",,,,0.5,0.25,0.25\n")
    assert '"cat": 0.5, "big, bad wolf": 0.25, ' in (tmp_path / "p.jsonl").read_text()


def test_without_probabilities_nothing_changes(file):
    write(file, [BATCH], topk=2)
    before = file.read_bytes()
    write(file, [BATCH], topk=2, probabilities=False)
    assert file.read_bytes() == before


def test_an_unreadable_image_has_no_probabilities(file):
    write(file, [BATCH], probabilities=True)
    row = read(file)[2]
    if file.suffix == ".jsonl":
        assert row["probabilities"] is None
    else:
        assert set(probabilities(row, CARD.classes).values()) == {None}


def test_classes_with_odd_names_have_columns_too(file):
    classes = ("100 %", "%s {x}", "a.b", "return\rhere", 'quo"te', "new\nline, here", "p:p", "猫\u2028")
    card = ModelCard(classes=classes, transform=ImageTransform(size=(2, 2)))
    batch = Predictions(["a"], np.zeros((1, 8), np.float32), [None])
    write(file, [batch], card=card, probabilities=True)
    assert [probabilities(row, classes) for row in read(file)] == [dict.fromkeys(classes, 0.125)]


@pytest.mark.parametrize(
    "name",
    [
        "a, b.png",
        'quo"te.png',
        "new\nline.png",
        "return\rhere.png",
        "tab\t;.png",
        " space .png",
        "ü/猫.png",
        "\u2028.png",
    ],
)
def test_odd_file_names_survive(file, name):
    write(file, [Predictions([name], LOGITS[:1], [None], np.array([0]))])
    assert [(row["path"], row["correct"]) for row in read(file)] == [(name, True)]


def test_names_that_are_not_utf8_survive(file):
    name = "caf\udce9.png"
    options = {"binary_paths": True} if file.suffix == ".parquet" else {}
    write(file, [Predictions([name], LOGITS[:1], [None])], **options)
    assert read(file)[0]["path"] == (os.fsencode(name) if options else name)


def test_parquet_refuses_names_that_its_text_cannot_hold(tmp_path):
    with pytest.raises(DataError, match=r"(?s)not UTF-8.*binary_paths"):
        write(tmp_path / "p.parquet", [Predictions(["caf\udce9.png"], LOGITS[:1], [None])])
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize("chosen", [("path",), ("predicted", "path", "error"), ("p1", "correct", "path")])
@pytest.mark.parametrize("probabilities", [False, True])
def test_columns_are_chosen_and_ordered(file, chosen, probabilities):
    whole = {"topk": 1, "probabilities": probabilities}
    write(file, [BATCH], **whole)
    every = read(file)
    write(file, [BATCH], columns=chosen, **whole)
    last = [name for name in every[0] if name.startswith("p:") or name == "probabilities"]
    got = read(file)
    assert [list(row) for row in got] == [[*chosen, *last]] * 4
    assert got == [{name: row[name] for name in [*chosen, *last]} for row in every]


@pytest.mark.parametrize(
    ("columns", "words"),
    [
        (("path", "labels"), r"(?s)no column 'labels'.*path, label, predicted"),
        (("path", "top1"), "with --topk"),
        (("path", "p:cat"), "--probabilities"),
        (("path", "path"), "twice"),
        (("predicted",), "no name without path"),
    ],
)
def test_columns_that_cannot_be_chosen(file, columns, words):
    with pytest.raises(OptionError, match=words):
        write(file, [BATCH], columns=columns)


def test_formulas_are_escaped_where_that_is_asked_for(tmp_path):
    names = ["=1+1.png", "+a", "-a", "@a", "\ta", "\ra", "'=a", "'a", "a=b", " =a"]
    batch = Predictions(names, np.zeros((10, 3), np.float32), [None] * 9 + ["=error"])
    for escape in (False, True):
        write(tmp_path / "p.csv", [batch], escape_formulas=escape)
        got = [row["path"] for row in read(tmp_path / "p.csv")]
        assert got == [
            "'" * ((escape and name[:1] in "=+-@\t\r") or (name == "'=a" and escape)) + name for name in names
        ]
    assert read(tmp_path / "p.csv")[9]["error"] == "'=error"


def test_a_job_without_images_is_a_file_with_columns_and_no_rows(file):
    write(file, topk=1)
    assert read(file) == []
    if file.suffix == ".parquet":
        assert pyarrow.parquet.read_schema(file).names == [*COLUMNS, "top1", "p1"]


def test_parquet_types_do_not_depend_on_the_rows(tmp_path):
    write(tmp_path / "none.parquet")
    write(tmp_path / "some.parquet", [BATCH])
    schemas = [pyarrow.parquet.read_schema(tmp_path / f"{name}.parquet") for name in ("none", "some")]
    assert schemas[0].equals(schemas[1])


def test_parquet_row_groups_keep_the_order(tmp_path, monkeypatch):
    monkeypatch.setattr(arrow, "GROUP", 6)
    write(tmp_path / "p.parquet", [BATCH] * 5, probabilities=True)
    assert pyarrow.parquet.ParquetFile(tmp_path / "p.parquet").num_row_groups > 1
    rows = read(tmp_path / "p.parquet")
    assert [row["path"] for row in rows] == BATCH.names * 5
    assert [row["p:cat"] for row in rows[:4]] * 5 == [row["p:cat"] for row in rows]


def batches_that_are_cut_off():
    yield BATCH
    raise InterruptedError


def test_a_failure_leaves_an_older_file_alone(file):
    file.write_text("yesterday's")
    with pytest.raises(InterruptedError):
        write(file, batches_that_are_cut_off())
    assert file.read_text() == "yesterday's"


@pytest.mark.parametrize("failure", [InterruptedError, KeyboardInterrupt, SystemExit])
def test_a_failure_leaves_nothing_behind(file, failure):
    def batches():
        yield BATCH
        assert [path.suffix for path in file.parent.iterdir()] == [".partial"]
        raise failure

    with pytest.raises(failure):
        write(file, batches())
    assert list(file.parent.iterdir()) == []


@pytest.mark.parametrize("step", ["_append", "_finish", "_close"])
def test_a_full_disk_is_told_and_leaves_nothing_behind(file, monkeypatch, step):
    writer = installed("writer", file.suffix[1:]).build(file, CARD)
    close = writer._close

    def full(*_):
        if step == "_close":
            close()
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(writer, step, full)
    with pytest.raises(DataError, match=r"(?s)cannot be written.*No space left"), writer:
        writer.write(BATCH)
    assert list(file.parent.iterdir()) == []


def test_folders_are_made(file):
    write(file.parent / "new" / "folder" / file.name, [BATCH])
    assert len(read(file.parent / "new" / "folder" / file.name)) == 4


def test_a_place_that_cannot_be_written_is_named(file):
    (file.parent / "taken").touch()
    with pytest.raises(DataError, match="cannot be written"):
        write(file.parent / "taken" / file.name, [BATCH])
