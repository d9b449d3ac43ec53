import json
from collections import Counter

import pytest
from hypothesis import assume, given
from hypothesis import strategies as st
from sklearn.model_selection import StratifiedKFold

from clsbench.datasets import splits as module
from clsbench.datasets.dataset import Dataset, Sample
from clsbench.datasets.splits import SplitSpec, share, stratified_split
from clsbench.errors import DataError, OptionError
from clsbench.images.entries import BytesEntry

LABELS = st.lists(st.sampled_from([None, 0, 1, 2, 7]), max_size=80)
FRACTIONS = st.floats(0.01, 0.99)


def samples(labels, folder=""):
    return [Sample(BytesEntry(f"{folder}{i}.png", b""), label) for i, label in enumerate(labels)]


def split(labels, *, val=None, test=None, default_test_fraction=None, **options):
    """Splits and notes for a train split, and given ones where there are labels for them."""
    data = {"train": samples(labels)}
    data |= {name: samples(some, f"{name}/") for name, some in (("val", val), ("test", test)) if some is not None}
    dataset = Dataset(classes=tuple("abcdefgh"), splits=data, root="here", default_test_fraction=default_test_fraction)
    done = module.split(dataset, SplitSpec(**options))
    assert (done.classes, done.root) == (dataset.classes, dataset.root)
    return done.splits, list(done.notes)


def names(splits):
    return {split: [sample.name for sample in some] for split, some in splits.items()}


@given(LABELS, FRACTIONS, st.integers(0, 2**32))
def test_splits_are_disjoint_complete_ordered_and_deterministic(labels, fraction, seed):
    everything = samples(labels)
    kept, aside = stratified_split(everything, fraction, seed=seed)
    assert sorted(kept + aside, key=everything.index) == everything
    assert len(kept) + len(aside) == len(everything)
    for part in (kept, aside):
        assert part == sorted(part, key=everything.index)
    assert (kept, aside) == stratified_split(samples(labels), fraction, seed=seed)


@given(LABELS, FRACTIONS, st.integers(0, 100))
def test_every_class_gives_its_fraction_and_stands_on_both_sides(labels, fraction, seed):
    kept, aside = (Counter(s.label for s in part) for part in stratified_split(samples(labels), fraction, seed=seed))
    for label, count in Counter(labels).items():
        if count == 1:
            assert (kept[label], aside[label]) == (1, 0)
        else:
            assert kept[label] >= 1
            assert aside[label] >= 1
            assert abs(aside[label] - fraction * count) <= 1


def test_another_seed_is_another_split():
    everything = samples([0] * 50)
    assert stratified_split(everything, 0.5, seed=0) != stratified_split(everything, 0.5, seed=1)


@pytest.mark.parametrize("option", ["val_fraction", "test_fraction"])
@pytest.mark.parametrize("fraction", [0, 1, -0.1, 1.5, float("nan")])
def test_a_fraction_outside_of_0_to_1_is_refused(option, fraction):
    with pytest.raises(OptionError, match="between 0 and 1"):
        SplitSpec(**{option: fraction})


@pytest.mark.parametrize("seed", [-1, 2**32, 10**30])
def test_a_seed_that_numpy_and_torch_do_not_take_is_refused(seed):
    with pytest.raises(OptionError, match="seed is out of range"):
        split([0, 0, 1, 1], seed=seed)


@given(
    st.lists(st.sampled_from([None, 0, 1, 2, 7]), min_size=1, max_size=80),
    st.none() | FRACTIONS,
    st.none() | FRACTIONS,
    st.booleans(),
    st.integers(0, 100),
)
def test_every_sample_is_in_one_split_and_the_same_seed_gives_the_same(
    labels, val_fraction, test_fraction, has_val, seed
):
    options = {"test_fraction": test_fraction, "seed": seed} | (
        {"val": [0, 1]} if has_val else {"val_fraction": val_fraction}
    )
    splits, notes = split(labels, **options)
    together = [name for some in names(splits).values() for name in some]
    assert sorted(together) == sorted(
        [s.name for s in samples(labels)] + (["val/0.png", "val/1.png"] if has_val else [])
    )
    assert list(splits) == ["train", "val"] + ([] if test_fraction is None else ["test"])
    assert (splits, notes) == split(labels, **options)


@given(
    st.lists(st.sampled_from([0, 1, 2]), min_size=2, max_size=60), st.integers(2, 6), st.integers(0, 2**32 - 1),
    st.lists(st.sampled_from([0, 1]), max_size=9),
)  # fmt: skip
def test_folds_validate_on_every_sample_once_and_on_every_class_evenly(labels, folds, seed, val):
    assume(max(Counter(labels + val).values()) >= folds)
    parts = [split(labels, val=val, folds=folds, fold=i, seed=seed)[0] for i in range(1, folds + 1)]
    everything = sorted(s.name for s in samples(labels) + samples(val, "val/"))
    assert sorted(s.name for part in parts for s in part["val"]) == everything
    for part in parts:
        assert sorted(s.name for some in part.values() for s in some) == everything
        for label, count in Counter(labels + val).items():
            assert abs(sum(s.label == label for s in part["val"]) - count / folds) <= 1


def test_a_fifth_of_each_class_validates_where_nothing_is_said():
    splits, notes = split([0] * 10 + [1] * 20)
    assert Counter(s.label for s in splits["val"]) == {0: 2, 1: 4}
    assert list(splits) == ["train", "val"]
    assert notes == ["validation: 6 images, 20% of each class of train, seed 0"]


def test_given_splits_are_kept_without_a_word():
    splits, notes = split([0, 1], val=[1], test=[0])
    assert names(splits) == {"train": ["0.png", "1.png"], "val": ["val/0.png"], "test": ["test/0.png"]}
    assert notes == []


def test_a_given_test_split_is_not_validated_on():
    splits, _ = split([0, 1] * 5, test=[0, 1])
    assert names(splits)["test"] == ["test/0.png", "test/1.png"]
    assert len(splits["val"]) == 2


def test_test_images_are_taken_away_before_validation():
    splits, notes = split([0] * 100, test_fraction=0.5, val_fraction=0.1, seed=3)
    assert {name: len(some) for name, some in splits.items()} == {"train": 45, "val": 5, "test": 50}
    assert notes == [
        "test: 50 images, 50% of each class of train, seed 3",
        "validation: 5 images, 10% of each class of train without test, seed 3",
    ]


def test_test_images_come_from_train_where_validation_is_given():
    splits, _ = split([0] * 10, val=[0] * 10, test_fraction=0.5)
    assert {name: len(some) for name, some in splits.items()} == {"train": 5, "val": 10, "test": 5}


def test_folds_pool_train_and_validation_and_leave_test_alone():
    splits, notes = split([0, 1] * 4, val=[0, 1], test=[0], folds=5, fold=5)
    assert {name: len(some) for name, some in splits.items()} == {"train": 8, "val": 2, "test": 1}
    assert names(splits)["test"] == ["test/0.png"]
    assert "pooled" in notes[0]
    assert notes[1] == "validation: fold 5 of 5, 2 of 10 images, stratified, seed 0"


def test_folds_share_their_test_split():
    first, second = (split([0, 1] * 20, test_fraction=0.25, folds=3, fold=i)[0] for i in (1, 3))
    assert first["test"] == second["test"]
    assert len(first["test"]) == 10
    assert first["val"] != second["val"]


def test_a_class_smaller_than_the_folds_is_mentioned():
    _, notes = split([0] * 6 + [1], folds=3, fold=1)
    assert "only 1 members" in notes[-1]


@pytest.mark.parametrize("name", ["val", "test"])
def test_a_fraction_for_a_split_that_is_given_is_refused(name):
    with pytest.raises(OptionError, match=f"has a {name} split of its own") as caught:
        split([0, 1], **{name: [0], f"{name}_fraction": 0.2})
    assert f"--{name}-fraction 0.2" in str(caught.value)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"folds": 3}, "belong together"),
        ({"fold": 1}, "belong together"),
        ({"folds": 1, "fold": 1}, "no such fold"),
        ({"folds": 3, "fold": 0}, "no such fold"),
        ({"folds": 3, "fold": 4}, "no such fold"),
        ({"folds": 3, "fold": 1, "val_fraction": 0.2}, "follows from their number"),
        ({"folds": 4, "fold": 1}, "cannot be made"),
        ({"folds": 9, "fold": 1}, "cannot be made"),
        ({"folds": 2, "fold": 1, "seed": -1}, "seed is out of range"),
        ({"test_fraction": 1.0}, "between 0 and 1"),
        ({"val_fraction": 0.0}, "between 0 and 1"),
    ],
)
def test_options_that_make_no_sense_are_refused(options, message):
    with pytest.raises(OptionError, match=message):
        split([0, 0, 0, 1, 1], **options)


def test_folds_are_scikit_learns():
    labels = [0, 1, 2] * 7 + [1] * 5
    parts = StratifiedKFold(4, shuffle=True, random_state=3).split(labels, labels)
    for fold, (others, chosen) in enumerate(parts, 1):
        splits, _ = split(labels, folds=4, fold=fold, seed=3)
        assert names(splits) == {"train": [f"{i}.png" for i in others], "val": [f"{i}.png" for i in chosen]}


@pytest.mark.parametrize("options", [{}, {"folds": 4, "fold": 2}])
def test_a_default_test_split_is_made_where_nothing_else_is_said(options):
    splits, notes = split([0] * 100, default_test_fraction=0.2, **options)
    assert len(splits["test"]) == 20
    assert notes[0] == "test: 20 images, 20% of each class of train, seed 0"
    assert len(split([0] * 100, default_test_fraction=0.2, test_fraction=0.1)[0]["test"]) == 10
    assert len(split([0] * 100, default_test_fraction=0.2, test=[0])[0]["test"]) == 1


def test_one_image_is_one_image():
    assert split([0, 0])[1] == ["validation: 1 image, 20% of each class of train, seed 0"]


def test_notes_of_the_dataset_come_first_and_the_rest_of_it_stays():
    dataset = Dataset(classes=("a", "b"), splits={"train": samples([0, 0, 1, 1])}, notes=("as given",), mirrored=False)
    done = module.split(dataset, SplitSpec())
    assert done.notes[0] == "as given"
    assert (len(done.notes), done.mirrored) == (2, False)


def test_a_dataset_without_training_images_cannot_be_split():
    dataset = Dataset(classes=("a", "b"), splits={"val": samples([0, 1])})
    with pytest.raises(DataError, match="no train images"):
        module.split(dataset, SplitSpec())


@pytest.mark.parametrize("name", ["val", "test"])
def test_a_contradiction_is_found_before_the_data_is_opened(name):
    spec = SplitSpec(**{f"{name}_fraction": 0.2})
    spec.check_given(["train"])
    with pytest.raises(OptionError, match=rf"has a {name} split of its own\n  where: cifar"):
        spec.check_given(["train", name], where="cifar")


@pytest.mark.parametrize("spec", [SplitSpec(), SplitSpec(val_fraction=0.3, seed=4), SplitSpec(folds=5, fold=2)])
def test_a_spec_survives_json(spec):
    values = json.loads(json.dumps(spec.to_json()))
    assert values["seed"] == spec.seed
    assert None not in values.values()
    assert SplitSpec.from_json({**values, "attribute": "colour"}) == spec


@pytest.mark.parametrize(
    ("asked", "counts"),
    [
        (("--val-fraction", "0.5"), {"train": 10, "val": 10}),
        (("--with", "data.val_fraction=0.5"), {"train": 10, "val": 10}),
        (("--with", "data.test-fraction=0.2"), {"train": 12, "val": 4, "test": 4}),
        (("--with", "data.folds=5", "--with", "data.fold=1"), {"train": 16, "val": 4}),
    ],
)
def test_options_of_the_split_reach_it_from_the_command_line(cli, tmp_path, asked, counts):
    for k in range(20):
        (tmp_path / "photos" / "ab"[k % 2]).mkdir(parents=True, exist_ok=True)
        (tmp_path / "photos" / "ab"[k % 2] / f"{k}.png").write_bytes(b"not opened")
    done = cli("datasets", "folder", "photos", *asked, "--json", "counts.json")
    assert done.code == 0, done.stderr
    found = json.loads((tmp_path / "counts.json").read_text())["counts"].values()
    assert {name: sum(count[name] for count in found) for name in counts} == counts


@given(LABELS, FRACTIONS, st.integers(0, 2**32 - 1))
def test_a_share_holds_its_part_of_every_class_and_at_least_one_image(labels, fraction, seed):
    everything = samples(labels)
    chosen = share(everything, fraction, seed=seed)
    counts, all_counts = (Counter(sample.label for sample in some) for some in (chosen, everything))
    assert counts == {label: max(1, round(fraction * count)) for label, count in all_counts.items()}
    assert chosen == [sample for sample in everything if sample in chosen]
    assert sorted(s.name for s in share(everything[::-1], fraction, seed=seed)) == sorted(s.name for s in chosen)
    assert set(chosen) <= set(share(everything, (1 + fraction) / 2, seed=seed))
    assert share(everything, 1.0, seed=seed) == everything


def test_a_fraction_of_the_data_is_taken_from_train_alone():
    whole, _ = split([0, 1] * 50, test=[0, 1], seed=3)
    part, notes = split([0, 1] * 50, test=[0, 1], seed=3, data_fraction=0.1)
    assert (names(part)["val"], names(part)["test"]) == (names(whole)["val"], names(whole)["test"])
    assert len(part["train"]) == 8
    assert set(names(part)["train"]) < set(names(whole)["train"])
    assert notes[-1] == "train: 8 of 80 images, 10% of each class, seed 3 (--data-fraction)"


@pytest.mark.parametrize("fraction", [0, -0.1, 1.01, float("nan")])
def test_a_fraction_of_the_data_that_makes_no_sense_is_refused(fraction):
    with pytest.raises(OptionError) as caught:
        SplitSpec(data_fraction=fraction)
    assert caught.value.facts["where"] == "--data-fraction"
