import pytest

from clsbench.datasets.dataset import Dataset, Sample
from clsbench.errors import DataError


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
        Dataset(classes=("cat", "dog"), splits={"train": [Sample("a.png", b"", label)]})


def test_a_sample_may_have_no_label():
    samples = [Sample("a.png", b"", None)]
    assert Dataset(classes=("cat", "dog"), splits={"train": samples}).samples("train") == samples


@pytest.mark.parametrize("split", ["val", "test", "holdout"])
def test_a_missing_or_empty_split_says_which_there_are(split):
    dataset = Dataset(classes=("cat", "dog"), splits={"train": [Sample("a.png", b"", 0)], "val": []})
    with pytest.raises(DataError, match=f"no {split} images\n  expected: train"):
        dataset.samples(split)
