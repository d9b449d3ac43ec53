import hashlib
import json
import time

import pytest

from clsbench.datasets.data_check import DataCheck, check_dataset
from clsbench.datasets.dataset import Dataset, Sample
from clsbench.errors import DataError
from clsbench.images.entries import BytesEntry


def check(splits, *, unreadable=None, same=(), classes=("cat", "dog")):
    """Check samples "train/cat1" …, given as split -> class -> count; ``same`` are groups of one image."""
    dataset = Dataset(
        classes=classes,
        splits={
            split: [
                Sample(BytesEntry(f"{split}/{name}{i}", b""), classes.index(name))
                for name, n in counts.items()
                for i in range(n)
            ]
            for split, counts in splits.items()
        },
    )
    names = [sample.name for samples in dataset.splits.values() for sample in samples]
    digests = {name: name.encode() for name in names} | {name: group[0].encode() for group in same for name in group}
    return check_dataset(dataset, unreadable=unreadable or {}, digests=digests)


FINE = {"train": {"cat": 5, "dog": 5}, "val": {"cat": 1, "dog": 1}}


def test_good_data_is_good():
    assert check(FINE) == DataCheck(())
    check(FINE).refuse("photos")


def test_unreadable_pictures_are_counted_with_an_example_and_its_reason():
    (finding,) = check(
        {**FINE, "train": {"cat": 9, "dog": 9}}, unreadable={"train/cat0": "truncated", "train/dog1": "?"}
    ).findings
    assert (finding.kind, finding.names) == ("unreadable", ("train/cat0", "train/dog1"))
    assert finding.message == "2 unreadable images, such as train/cat0: truncated"


def test_a_picture_in_two_splits_is_a_duplicate():
    (finding,) = check(FINE, same=[("train/cat0", "train/cat1", "val/cat0")]).findings
    assert (finding.kind, finding.names) == ("duplicates", ("train/cat0", "train/cat1", "val/cat0"))
    assert finding.message == "1 image in more than one split: train/cat0 (train) = val/cat0 (val)"


def test_a_picture_twice_in_one_split_is_none():
    assert check(FINE, same=[("train/cat0", "train/cat1")]).findings == ()


@pytest.mark.parametrize("other", ["train/dog3", "val/dog0"])
def test_one_picture_with_two_labels_is_a_contradiction(other):
    found = {f.kind: f for f in check(FINE, same=[("train/cat0", "train/cat1", other)]).findings}
    assert found["contradictions"].names == ("train/cat0", "train/cat1", other)
    assert found["contradictions"].message == f"1 image with more than one label: train/cat0 (cat) = {other} (dog)"
    assert ("duplicates" in found) == other.startswith("val")


def test_unreadable_files_are_compared_with_none():
    same = [("train/cat0", "val/dog0")]
    found = check({**FINE, "val": {"cat": 2, "dog": 2}}, unreadable={"val/dog0": "empty"}, same=same).findings
    assert [finding.kind for finding in found] == ["unreadable"]


def test_pictures_without_a_digest_or_a_label_are_compared_with_none():
    splits = {
        "train": [Sample(BytesEntry(f"{k}", b""), k % 2) for k in range(10)],
        "val": [Sample(BytesEntry("a", b""), 0), Sample(BytesEntry("b", b""), 1)],
    }
    dataset = Dataset(classes=("cat", "dog"), splits={**splits, "test": [Sample(BytesEntry("c", b""), None)]})
    found = check_dataset(dataset, unreadable={}, digests={"0": b"x", "gone": b"x"}).findings
    assert [finding.kind for finding in found] == ["empty-class"]


def test_tiny_classes_are_those_with_few_readable_training_pictures():
    found = check({"train": {"cat": 5, "dog": 5}, "val": {"cat": 1, "dog": 1}}, unreadable={"train/dog0": "?"}).findings
    assert [(f.kind, f.names) for f in found[1:]] == [("tiny-class", ("dog",))]
    assert found[1].message == "1 class with fewer than 5 training images: dog (4)"


@pytest.mark.parametrize(
    ("classes", "shown"),
    [
        (("Ants", "ants"), "'Ants' = 'ants'"),
        (("café", "cafe\u0301"), r"'caf\xe9' = 'cafe\u0301'"),
        (("a b", "a  b"), "'a b' = 'a  b'"),
        (("a b", "a\u00a0b"), r"'a b' = 'a\xa0b'"),
        ((" cat", "cat"), "' cat' = 'cat'"),
        (("cat", "c\u200bat"), r"'cat' = 'c\u200bat'"),
        (("straße", "STRASSE"), "'straße' = 'STRASSE'"),
    ],
)
def test_class_names_that_look_like_one_are_a_finding_that_tells_them_apart(classes, shown):
    (finding,) = check({"train": dict.fromkeys(classes, 5)}, classes=classes).findings
    assert (finding.kind, finding.names) == ("similar-classes", classes)
    assert finding.message == f"2 class names differ only in case, spaces or Unicode normalisation: {shown}"


def test_class_names_of_different_words_are_no_finding():
    classes = ("cat", "cats", "a b", "ab", "café", "cafe")
    assert check({"train": dict.fromkeys(classes, 5)}, classes=classes).findings == ()


def test_classes_without_a_picture_are_named_for_each_split():
    splits = {"train": {"cat": 5}, "val": {"dog": 5}, "test": {"cat": 1, "dog": 1}}
    messages = [finding.message for finding in check(splits).findings if finding.kind == "empty-class"]
    assert messages == [
        "1 of 2 classes without an image in train: dog",
        "1 of 2 classes without an image in val: cat",
    ]


def test_a_message_is_one_line_with_three_examples_and_the_names_are_all_there():
    classes = tuple(f"class {k}" for k in range(5))
    found = check({"train": dict.fromkeys(classes, 2)}, classes=classes).findings
    assert found[0].message.endswith(
        "5 classes with fewer than 5 training images: class 0 (2), class 1 (2), class 2 (2), …"
    )
    assert found[0].names == classes


def test_refusing_says_everything_that_was_found():
    bad = check({"train": {"cat": 2, "dog": 5}, "val": {"cat": 1}}, unreadable={"train/dog0": "truncated"})
    with pytest.raises(DataError, match="found 3 problems\n  where: photos") as caught:
        bad.refuse("photos")
    assert all(finding.message in str(caught.value) for finding in bad.findings)
    assert "--strict-data" in str(caught.value)


def test_the_findings_are_json():
    bad = check({"train": {"cat": 5, "dog": 5}, "val": {"cat": 1}})
    assert json.loads(json.dumps(bad.to_json())) == {
        "findings": [
            {
                "code": "CB-D008",
                "kind": "empty-class",
                "message": "1 of 2 classes without an image in val: dog",
                "names": ["dog"],
            }
        ]
    }


def test_many_pictures_take_little_time():
    samples = [Sample(BytesEntry(str(k), b""), k % 1000) for k in range(100_000)]
    dataset = Dataset(classes=tuple(map(str, range(1000))), splits={"train": samples[:80_000], "val": samples[80_000:]})
    digests = {s.name: hashlib.md5(str(k // 2).encode()).digest() for k, s in enumerate(samples)}
    started = time.perf_counter()
    check_dataset(dataset, unreadable={}, digests=digests)
    assert time.perf_counter() - started < 5
