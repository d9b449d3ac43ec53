import pytest

from clsbench.datasets.dataset import Dataset, Sample, check_files_exist
from clsbench.errors import DataError
from clsbench.images.entries import BytesEntry, FileEntry


@pytest.mark.parametrize("classes", [("crane", "maillot", "crane"), ("cat", ""), ("cat",), ()])
def test_classes_that_cannot_be_told_apart_are_refused(classes):
    with pytest.raises(DataError, match="class"):
        Dataset(classes=classes, splits={})


def test_a_repeated_class_is_named():
    with pytest.raises(DataError, match="'crane' more than once"):
        Dataset(classes=("crane", "maillot", "crane"), splits={})


@pytest.mark.parametrize("label", [-1, 2])
def test_a_label_out_of_range_is_refused_with_its_sample(label):
    with pytest.raises(DataError, match=r"train: a\.png"):
        Dataset(classes=("cat", "dog"), splits={"train": [Sample(BytesEntry("a.png", b""), label)]})


@pytest.mark.parametrize(
    ("others", "homes"), [({"train": 2}, "train and train"), ({"train": 1, "val": 1}, "train and val")]
)
def test_a_name_stands_for_one_sample(others, homes):
    splits = {split: [Sample(BytesEntry("a.png", b""), 0)] * count for split, count in others.items()}
    with pytest.raises(DataError, match=rf"two samples have the same name\n.*a\.png in {homes}"):
        Dataset(classes=("cat", "dog"), splits=splits)


def test_a_sample_may_have_no_label():
    samples = [Sample(BytesEntry("a.png", b""), None)]
    assert Dataset(classes=("cat", "dog"), splits={"train": samples}).samples("train") == samples


@pytest.mark.parametrize("split", ["val", "test", "holdout"])
def test_a_missing_or_empty_split_says_which_there_are(split):
    dataset = Dataset(classes=("cat", "dog"), splits={"train": [Sample(BytesEntry("a.png", b""), 0)], "val": []})
    with pytest.raises(DataError, match=f"no {split} images\n  expected: train"):
        dataset.samples(split)


def test_missing_files_are_counted_and_three_are_named(tmp_path):
    (tmp_path / "there").touch()
    missing = [Sample(FileEntry(name, str(tmp_path / name)), 0) for name in "abcd"]
    there = [Sample(FileEntry("there", str(tmp_path / "there")), 0), Sample(BytesEntry("bytes", b""), 0)]
    check_files_exist(there, where="", hint="")
    with pytest.raises(DataError, match="4 of 6 files not found\n  where: here\n  got: a, b, c, …\n  to do: look"):
        check_files_exist([*missing, *there], where="here", hint="look")
