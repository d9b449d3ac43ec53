import dataclasses

import numpy as np
import pytest

from clsbench.datasets.dataset import Dataset, Sample
from clsbench.datasets.splits import SplitSpec, split
from clsbench.errors import DataError, OptionError
from clsbench.images.entries import BytesEntry
from clsbench.probing.pool import pool


def labelled(split, labels, groups=None):
    return [
        Sample(BytesEntry(f"{split}/{k}", b""), label, group=groups[k] if groups else None)
        for k, label in enumerate(labels)
    ]


def dataset(classes=("a", "b"), **splits):
    return Dataset(classes=classes, splits=splits)


def test_train_and_val_are_pooled_and_a_test_split_stays_unseen():
    data = dataset(train=labelled("train", [0, 1] * 6), val=labelled("val", [0, 1] * 2), test=labelled("test", [0, 1]))
    made = pool(data, SplitSpec(), 4)
    assert sorted({s.name.partition("/")[0] for s in made.samples}) == ["train", "val"]
    assert len(made.samples) == 16
    assert made.notes == ("train and val are pooled for the folds", "the test split is not used: 2 images")
    assert [np.bincount(made.labels[made.folds == k]).tolist() for k in range(4)] == [[2, 2]] * 4


@pytest.mark.parametrize("groups", [None, [f"g{k // 4}" for k in range(40)]])
def test_folds_and_the_test_split_are_those_of_train_with_the_same_seed(groups):
    data = dataset(train=labelled("train", [0, 1, 1, 0] * 10, groups))
    made = pool(data, SplitSpec(test_fraction=0.2, seed=7), 3)
    for fold in (1, 2, 3):
        val = split(data, SplitSpec(test_fraction=0.2, seed=7, folds=3, fold=fold)).splits["val"]
        assert {s.name for s in val} == {s.name for s, f in zip(made.samples, made.folds, strict=True) if f == fold - 1}


def test_images_of_one_group_are_in_one_fold_and_that_is_told():
    groups = [f"g{k // 4}" for k in range(40)]
    made = pool(dataset(train=labelled("train", [0, 1, 1, 0] * 10, groups)), SplitSpec(), 3)
    assert all(len(set(made.folds[made.groups == g].tolist())) == 1 for g in made.groups)
    assert "not independent" in made.warnings[0]


def test_classes_with_fewer_images_than_folds_are_named():
    made = pool(dataset(("a", "b", "c"), train=labelled("train", [0] * 9 + [1] * 2 + [2])), SplitSpec(), 3)
    assert made.warnings == (
        "a class with one image has none to learn from when that is held out: c",
        "fewer images than the 3 folds in 1 class: b",
    )


@pytest.mark.parametrize(
    ("labels", "groups", "folds", "words"),
    [([0, 0, 1], None, 3, "2 to 2"), ([0, 1, 0, 1], list("xxyy"), 3, "2 to 2")],
)
def test_more_folds_than_there_can_be_are_refused(labels, groups, folds, words):
    with pytest.raises(OptionError, match="more folds than") as caught:
        pool(dataset(train=labelled("train", labels, groups)), SplitSpec(), folds)
    assert caught.value.facts["expected"] == words


def test_images_of_one_class_and_images_without_a_label():
    with pytest.raises(DataError, match="two classes"):
        pool(dataset(train=labelled("train", [0, 0, None])), SplitSpec(), 2)
    made = pool(dataset(train=labelled("train", [0, 0, 1, 1, None])), SplitSpec(), 2)
    assert len(made.samples) == 4
    few = made.only(np.array([True, False, True, True]))
    assert few == dataclasses.replace(made, samples=few.samples, folds=few.folds)
    assert len(few.samples) == len(few.folds) == 3
