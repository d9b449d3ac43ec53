import dataclasses
import hashlib
import json

import pytest

from clsbench.datasets.dataset import Dataset, Sample
from clsbench.datasets.digits import build
from clsbench.datasets.recorded import SplitRecord, as_recorded, record_splits
from clsbench.datasets.splits import SplitSpec, split
from clsbench.errors import DataError
from clsbench.images.entries import BytesEntry


def dataset(**names):
    splits = {split: [Sample(BytesEntry(name, b""), 0) for name in some] for split, some in names.items()}
    return Dataset(classes=("cat", "dog"), splits=splits, notes=("as built",))


def names(pictures):
    return {split: "".join(s.name for s in some) for split, some in pictures.splits.items()}


def test_the_record_is_json_and_names_what_was_held_out():
    record = record_splits(dataset(train="abc", val="de", test="f"))
    values = json.loads(json.dumps(record.to_json()))
    assert SplitRecord.from_json(values) == record
    assert (values["val"], values["test"], values["train"]["count"]) == (["d", "e"], ["f"], 3)
    assert list(values) == ["val", "test", "train"]
    assert values["train"]["sha256"] == hashlib.sha256(b"a\0b\0c").hexdigest()


def test_another_split_of_the_same_pictures_becomes_the_recorded_one():
    run = split(build(), SplitSpec(seed=1))
    now = split(build(), SplitSpec(seed=2, folds=3, fold=2))
    again = as_recorded(now, record_splits(run))
    for name in ("train", "val", "test"):
        assert {s.name for s in again.samples(name)} == {s.name for s in run.samples(name)}
    assert again.classes == run.classes
    assert again.notes[-1].startswith("the splits are those of the run: ")


def test_the_same_dataset_stays_the_same():
    pictures = dataset(train="abc", val="de", test="f")
    again = as_recorded(pictures, record_splits(pictures))
    assert again == dataclasses.replace(
        pictures, notes=("as built", "the splits are those of the run: 3 train, 2 val, 1 test")
    )


def test_pictures_that_are_new_since_are_never_validated_on():
    again = as_recorded(dataset(train="ab", val="cdx"), record_splits(dataset(train="ab", val="cd")))
    assert names(again) == {"train": "abx", "val": "cd"}
    assert "3 now, 2 then; at least 1 new" in again.notes[-1]


@pytest.mark.parametrize(("train", "words"), [("a", "1 now, 2 then; at least 1 missing"), ("ax", "some were replaced")])
def test_training_pictures_that_are_not_the_runs_are_mentioned(train, words):
    again = as_recorded(dataset(train=train, val="c"), record_splits(dataset(train="ab", val="c")))
    assert words in again.notes[-1]


def test_held_out_pictures_that_are_gone_are_counted():
    again = as_recorded(dataset(train="ab", val="c"), record_splits(dataset(train="ab", val="cd", test="e")))
    assert names(again) == {"train": "ab", "val": "c"}
    assert "1 of the run's 2 val images not found, such as d" in again.notes
    assert "1 of the run's 1 test image not found, such as e" in again.notes


def test_none_of_the_validation_pictures_is_an_error():
    with pytest.raises(
        DataError, match=r"none of the run's validation images(.*\n)+  where: runs/x\n(.*\n)+.*d, e, f, …"
    ):
        as_recorded(dataset(train="abc"), record_splits(dataset(val="defg")), where="runs/x")


def test_a_record_of_the_validation_names_alone_will_do():
    again = as_recorded(dataset(train="abc"), SplitRecord.from_json({"val": ["b"]}))
    assert names(again) == {"train": "ac", "val": "b"}
    assert again.notes[1:] == ("the splits are those of the run: 2 train, 1 val",)


@pytest.mark.parametrize(
    "record", [[], {}, {"val": "abc"}, {"val": [1]}, {"val": ["a"], "test": 1}, {"val": ["a"], "train": 3}]
)
def test_a_damaged_record_is_an_error(record):
    with pytest.raises(DataError, match=r"recorded splits cannot be read\n  where: runs/x"):
        SplitRecord.from_json(record, "runs/x")


def test_names_that_are_not_utf8_are_recorded_too():
    pictures = dataset(train=["caf\udce9.png"], val=["\udce9"])
    assert as_recorded(pictures, record_splits(pictures)).splits == pictures.splits


def test_a_run_on_a_fraction_finds_its_training_images_again():
    spec = SplitSpec(seed=5, data_fraction=0.1)
    run = split(build(), spec)
    again = as_recorded(split(build(), SplitSpec(seed=2)), record_splits(run), data_fraction=0.1, seed=5)
    assert {s.name for s in again.samples("train")} == {s.name for s in run.samples("train")}
    assert not [note for note in again.notes if "the training images are not the run's" in note]
