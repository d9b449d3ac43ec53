import numpy as np
import pytest

from clsbench.datasets.data_check import check_dataset
from clsbench.datasets.dataset import Dataset, Sample
from clsbench.datasets.near_duplicates import BLOCK, MOST_BITS, Hashed, near_pairs
from clsbench.images.entries import BytesEntry

CLASSES = ("cat", "dog")


def hashed(names, hashes, known=None):
    samples = [Sample(BytesEntry(name, b""), k % 2) for k, name in enumerate(names)]
    return Hashed(samples, hashes, np.ones(len(names), bool) if known is None else known)


def flipped(hashes, bits, random):
    """The hashes with so many of their bits of the higher frequencies changed."""
    changed = hashes.copy()
    for row in changed:
        for bit in random.choice(np.arange(64, 256), bits, replace=False):
            row[bit // 64] ^= np.uint64(1) << np.uint64(bit % 64)
    return changed


def random_hashes(count, seed=0):
    return np.random.default_rng(seed).integers(0, 2**64, (count, 4), np.uint64)


def check(splits, digests=None):
    dataset = Dataset(classes=CLASSES, splits={name: some.samples for name, some in splits.items()})
    found = check_dataset(dataset, unreadable={}, digests=digests or {}, hashed=splits).findings
    return [finding for finding in found if finding.kind == "near-duplicates"]


def clips(split, count, first=0):
    return [f"{split}/clip{k // 4}_{first + k}.jpg" for k in range(count)]


@pytest.fixture
def splits():
    """Six of twenty validation images nearly equal a training image."""
    random = np.random.default_rng(1)
    train, val = random_hashes(100), random_hashes(20, 7)
    val[:6] = flipped(train[:6], 20, random)
    return {"train": hashed(clips("train", 100), train), "val": hashed(clips("val", 20, 100), val)}


def test_a_finding_says_how_much_of_the_split_it_is_with_examples(splits):
    (finding,) = check(splits)
    assert finding.message.startswith(
        "6 of 20 validation images (30%) nearly equal a training image: val/clip0_100.jpg ≈ train/clip0_0.jpg (train), "
    )
    assert finding.names[:2] == ("val/clip0_100.jpg", "train/clip0_0.jpg")
    assert len(finding.names) == 12


def test_a_common_prefix_is_proposed_as_group(splits):
    assert check(splits)[0].message.endswith("; --group '([^/]+)[_-][^/_-]*$' keeps such images together")
    apart = {name: hashed([f"{name}{k}x.jpg" for k in range(len(some.samples))], some.hashes)
             for name, some in splits.items()}  # fmt: skip
    assert "--group" not in check(apart)[0].message


def test_equal_images_are_duplicates_and_no_near_duplicates(splits):
    digests = dict.fromkeys(("train/clip0_0.jpg", "val/clip0_100.jpg"), b"same")
    assert check(splits, digests)[0].message.startswith("5 of 20")


def test_the_limit_is_kept_and_unknown_hashes_are_compared_with_none(splits):
    random, train = np.random.default_rng(2), splits["train"]
    for bits, found in ((MOST_BITS, 100), (MOST_BITS + 1, 0)):
        near = hashed(clips("val", 100, 100), flipped(train.hashes, bits, random))
        assert len(near_pairs({"train": train, "val": near}, {}, "val")) == found
    unknown = hashed(clips("val", 100, 100), train.hashes, np.zeros(100, bool))
    assert near_pairs({"train": train, "val": unknown}, {}, "val") == []


def test_the_nearest_is_named_and_blocks_change_nothing(splits, monkeypatch):
    train, random = splits["train"], np.random.default_rng(3)
    train.hashes[50] = flipped(splits["val"].hashes[:1], 4, random)[0]
    want = near_pairs(splits, {}, "val")
    assert (want[0].other.name, want[0].bits) == ("train/clip12_50.jpg", 4)
    monkeypatch.setattr("clsbench.datasets.near_duplicates.BLOCK", 1)
    assert near_pairs(splits, {}, "val") == want
    assert BLOCK > 1


def test_a_test_split_is_compared_with_both_others(splits):
    test = hashed(["t0.jpg", "t1.jpg"], np.stack([splits["train"].hashes[9], splits["val"].hashes[9]]))
    *_, finding = check({**splits, "test": test})
    assert finding.message.startswith(
        "2 of 2 test images (100%) nearly equal a training or validation image: t0.jpg ≈ "
    )


def test_a_given_split_that_tears_groups_apart_is_a_finding():
    splits = {
        name: [Sample(BytesEntry(f"{name}{k}.png", b""), k % 2, f"p{k // 4 + shift}") for k in range(20)]
        for name, shift in (("train", 0), ("val", 3))
    }
    found = {
        f.kind: f for f in check_dataset(Dataset(classes=CLASSES, splits=splits), unreadable={}, digests={}).findings
    }
    assert found["torn-groups"].names == ("p3", "p4")
    assert found["torn-groups"].message == (
        "2 groups are in more than one split, as the data gives them: p3 (train12.png in train, val0.png in val), "
        "p4 (train16.png in train, val4.png in val)"
    )
