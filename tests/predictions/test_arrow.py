import dataclasses

import numpy as np
import pyarrow as pa
import pyarrow.parquet
import pytest

from clsbench.card import ModelCard
from clsbench.predictions import arrow
from clsbench.predictions.arrow import ArrowCollector
from clsbench.predictions.block import Predictions
from clsbench.predictions.parquet_writers import ParquetWriter
from clsbench.transform import ImageTransform

CLASSES = ("cat", "wolf, big", "p:odd", "é")


def blocks(count=5, size=4):
    random = np.random.default_rng(0)
    for number in range(count):
        logits = random.normal(size=(size, 4)).astype(np.float32)
        logits[1] = np.nan
        names = [f"{number}/caf\udce9 {k}.png" for k in range(size)]
        errors = [None, "in caf\udce9", *[None] * (size - 2)]
        yield Predictions(names, logits, errors, random.integers(-1, 4, size))


@pytest.mark.parametrize("group", [16384, 6, 1])
@pytest.mark.parametrize(
    "options",
    [
        {},
        {"topk": 3},
        {"topk": 9, "probabilities": True},
        {"columns": ("p1", "path"), "topk": 1},
    ],
)
def test_the_table_is_what_a_parquet_file_of_the_same_predictions_holds(tmp_path, monkeypatch, group, options):
    monkeypatch.setattr(arrow, "GROUP", group)
    card = ModelCard(classes=CLASSES, transform=ImageTransform(size=(2, 2)))
    collector = ArrowCollector(CLASSES, binary_paths=True, **options)
    with ParquetWriter(tmp_path / "preds.parquet", card, binary_paths=True, **options) as writer:
        for block in blocks():
            writer.write(block)
            collector.write(block)
    table = collector.table()
    assert table.num_rows == 20
    assert table.equals(pyarrow.parquet.read_table(tmp_path / "preds.parquet"))
    assert collector.table().equals(table)


def test_features_make_groups_of_fewer_rows_and_stay_with_their_rows(monkeypatch):
    monkeypatch.setattr(arrow, "GROUP_FEATURES", 20)
    collector, expected = ArrowCollector(CLASSES, binary_paths=True, feature_dim=3), []
    for number, block in enumerate(blocks()):
        expected.append(np.random.default_rng(number).normal(size=(4, 3)).astype(np.float32))
        expected[-1][1] = np.nan
        collector.write(dataclasses.replace(block, features=expected[-1]))
    table = collector.table()
    assert [len(chunk) for chunk in table.column("features").chunks if len(chunk)] == [6, 6, 6, 2]
    np.testing.assert_array_equal(np.array(table.column("features").to_pylist()), np.concatenate(expected))


def test_many_classes_make_groups_of_fewer_rows(monkeypatch):
    monkeypatch.setattr(arrow, "GROUP_VALUES", 40)
    collector = ArrowCollector(CLASSES, probabilities=True, binary_paths=True)
    taken = []
    for block in blocks():
        collector.write(block)
        taken.append([group.num_rows for group in collector.take()])
    assert [rows for groups in taken for rows in groups] == [10, 10]
    assert collector.table().num_rows == 0


def test_groups_do_not_depend_on_the_blocks(monkeypatch):
    monkeypatch.setattr(arrow, "GROUP_VALUES", 28)
    whole, (first, *rest) = [], blocks()
    for block in rest:
        first = Predictions(
            first.names + block.names, np.concatenate([first.logits, block.logits]), first.errors + block.errors,
            np.concatenate([first.labels, block.labels]), reasons=first.reasons + block.reasons,
        )  # fmt: skip
    for parts in (blocks(), [first]):
        collector = ArrowCollector(CLASSES, probabilities=True, binary_paths=True)
        for block in parts:
            collector.write(block)
        whole.append([*collector.take(), collector.table()])
    assert [group.num_rows for group in whole[0]] == [group.num_rows for group in whole[1]] == [7, 7, 6]
    assert all(a.equals(b) for a, b in zip(*whole, strict=True))


def test_no_predictions_are_a_table_with_columns_and_types():
    table = ArrowCollector(CLASSES, topk=1, probabilities=True).table()
    assert table.num_rows == 0
    assert table.schema.field("p:cat").type == pa.float32()
    assert table.schema.names[-6:] == ["top1", "p1", *(f"p:{name}" for name in CLASSES)]
