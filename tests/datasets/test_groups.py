import json
from collections import Counter

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from sklearn.model_selection import StratifiedGroupKFold

from clsbench.datasets import splits as module
from clsbench.datasets.csv_table import build
from clsbench.datasets.dataset import Dataset, Sample
from clsbench.datasets.group_splits import group_share, group_split
from clsbench.datasets.recorded import as_recorded, record_splits
from clsbench.datasets.splits import SplitSpec
from clsbench.errors import OptionError
from clsbench.images.entries import BytesEntry

CLIPS = r"clip(\d+)_"


def clips(groups, folder=""):
    """A sample for each (group, label), named after its group."""
    return [Sample(BytesEntry(f"{folder}clip{g}_{i}.png", b""), label) for i, (g, label) in enumerate(groups)]


def split(groups, *, val=None, test=None, default_test_fraction=None, group=CLIPS, **options):
    data = {"train": clips(groups)}
    data |= {name: clips(some, f"{name}/") for name, some in (("val", val), ("test", test)) if some is not None}
    dataset = Dataset(classes=("cat", "dog", "eel"), splits=data, default_test_fraction=default_test_fraction)
    return module.split(dataset, SplitSpec(group=group, **options))


def homes(dataset):
    """Group -> the splits that it is in."""
    found = {}
    for name, samples in dataset.splits.items():
        for sample in samples:
            found.setdefault(sample.group, set()).add(name)
    return found


MANY = [(g, g % 3) for g in range(60) for _ in range(1 + g % 4)]


@pytest.mark.parametrize(
    "options",
    [{}, {"val_fraction": 0.35, "test_fraction": 0.1}, {"folds": 5, "fold": 3}, {"default_test_fraction": 0.3},
     {"folds": 3, "fold": 1, "val": MANY[:20], "test_fraction": 0.2}],
)  # fmt: skip
def test_no_group_is_on_both_sides_of_any_split(options):
    done = split(MANY[20:] if "val" in options else MANY, **options)
    assert max(map(len, homes(done).values())) == 1
    assert sum(map(len, done.splits.values())) == len(MANY)


@settings(max_examples=10)
@given(
    st.lists(st.tuples(st.integers(0, 15), st.integers(0, 2)), min_size=20, max_size=80),
    st.sampled_from([0.02, 0.1, 0.2, 0.37, 0.5, 0.8]), st.integers(0, 2**32 - 1),
)  # fmt: skip
def test_whatever_the_groups_they_stay_whole_and_both_sides_have_some(groups, fraction, seed):
    groups = [*groups, (16, 0), (17, 0)]
    kept, aside = (split(groups, val_fraction=fraction, seed=seed).splits[name] for name in ("train", "val"))
    assert kept
    assert aside
    assert {s.group for s in kept}.isdisjoint(s.group for s in aside)
    again = split(groups, val_fraction=fraction, seed=seed).splits
    assert ([s.name for s in kept], [s.name for s in aside]) == tuple([s.name for s in again[n]] for n in again)


@pytest.mark.parametrize("fraction", [0.03, 0.1, 0.2, 0.25, 1 / 3, 0.5, 0.8])
def test_every_class_gives_nearly_the_fraction_where_groups_are_many_and_small(fraction):
    labels = {None: 0} | Counter(label for _, label in MANY * 1)
    done = split([(g + 100 * k, label) for k in range(5) for g, label in MANY], val_fraction=fraction)
    for label, count in Counter(s.label for s in done.splits["val"]).items():
        assert count == pytest.approx(5 * labels[label] * fraction, rel=0.1)


def test_where_groups_are_few_every_class_is_on_both_sides():
    for seed in range(5):
        done = split([(g, g % 2) for g in range(4) for _ in range(10)], val_fraction=0.2, seed=seed)
        assert {s.label for s in done.splits["val"]} == {s.label for s in done.splits["train"]} == {0, 1}


def test_folds_are_those_of_stratified_group_k_fold():
    groups, labels = (np.array(column) for column in zip(*MANY, strict=True))
    parts = StratifiedGroupKFold(4, shuffle=True, random_state=7).split(labels, labels, groups)
    for fold, (_, chosen) in enumerate(parts, 1):
        done = split(MANY, folds=4, fold=fold, seed=7)
        assert [s.name for s in done.splits["val"]] == [clips(MANY)[i].name for i in chosen]


def test_a_share_is_of_whole_groups_and_a_larger_one_holds_it():
    samples = list(split(MANY, val=[(99, 0)]).splits["train"])
    small, large = (group_share(samples, fraction, seed=3) for fraction in (0.2, 0.5))
    for part, fraction in ((small, 0.2), (large, 0.5)):
        outside = [s for s in samples if s not in part]
        assert {s.group for s in part}.isdisjoint(s.group for s in outside)
        assert fraction * len(samples) <= len(part) < (fraction + 0.15) * len(samples)
    assert set(small) < set(large)
    assert [s.name for s in group_share(samples[::-1], 0.2, seed=3)] == [s.name for s in small][::-1]


def test_notes_say_how_many_groups_and_the_sizes_that_came_out():
    notes = split([(0, 0)] * 6 + [(1, 0)] * 4 + [(2, 1)] * 5 + [(3, 1)] * 5, val_fraction=0.2).notes
    assert notes[0] == r"groups: 4, of 20 images, by the regular expression clip(\d+)_"
    assert notes[1] == "validation: 9 images in 2 of 4 groups, 45.0% of train where 20% were asked for, seed 0"
    notes = split(MANY, folds=4, fold=2).notes
    assert notes[-1] == "the fold has 16 of 60 groups"


def test_a_class_of_one_group_stays_in_train_and_is_named():
    done = split([(0, 0), (0, 0), *((g, g % 2 + 1) for g in range(1, 20))])
    assert Counter(s.label for s in done.splits["val"])[0] == 0
    assert done.notes[-1] == "a class of one group is on one side of each split only: cat"


def test_images_that_do_not_match_are_groups_of_their_own_and_counted():
    done = split([(0, 0), (0, 1), (0, 0), ("x", 0), ("y", 1), ("z", 1)])
    assert done.notes[0].endswith("; without one, each by itself: 3 images, such as clipx_3.png")
    assert len(homes(done)["0"]) == 1


@pytest.mark.parametrize(
    ("group", "message"),
    [("(", "neither a column nor a regular"), ("patient", "no image has a group"), ("x*", "no image has a group"),
     (r"\.png", "all images are in one group"), ("cl(i)p", "all images are in one group")],
)  # fmt: skip
def test_a_group_that_cannot_be_right_is_refused(group, message):
    with pytest.raises(OptionError, match=message) as caught:
        split(MANY, group=group)
    assert "--group" in str(caught.value)


def test_a_regular_expression_that_never_ends_is_ended(monkeypatch):
    monkeypatch.setattr("clsbench.datasets.groups.SECONDS", 0.2)
    samples = [Sample(BytesEntry(f"{'a' * 40}{k}.png", b""), k % 2) for k in range(4)]
    dataset = Dataset(classes=("cat", "dog"), splits={"train": samples})
    with pytest.raises(OptionError, match="takes too long"):
        module.split(dataset, SplitSpec(group="(a+)+_"))
    assert module.split(dataset, SplitSpec(group="a([0-9])")).splits["val"]


def test_fewer_groups_than_folds_are_refused():
    with pytest.raises(OptionError, match="2 groups for 3 folds"):
        split([(g, k) for g in (0, 1) for k in (0, 1, 0, 1)], folds=3, fold=1)
    with pytest.raises(OptionError, match="of one group"):
        group_split(clips([(0, 0)] * 4)[:1], 0.2, seed=0)


@pytest.mark.parametrize(
    ("group", "found"), [(r"clip(\d)(\d)", "1"), (r"cl(?P<what>i)p(?P<group>\d+)", "12"), (r"clip\d+", "clip12"),
                         (r"(frog)|(\d+)", "12")],
)  # fmt: skip
def test_the_named_group_the_first_or_the_whole_match_is_the_key(group, found):
    assert split([(12, 0), (77, 1), (12, 1)], group=group, val=[(5, 0)]).splits["train"][0].group == found


def test_a_column_of_a_csv_file_groups_and_an_empty_cell_is_alone(tmp_path):
    rows = [f"{k}.png,{'ab'[k % 2]},{f'p{k // 4}' if k < 16 else ''}" for k in range(20)]
    for k in range(20):
        (tmp_path / f"{k}.png").write_bytes(b"")
    (tmp_path / "labels.csv").write_text("\n".join(["path,label,patient", *rows]))
    dataset = build(tmp_path / "labels.csv", group_column="patient")
    done = module.split(dataset, SplitSpec(group="patient"))
    assert done.notes[0] == "groups: 4, of 16 images, by the column patient; without one, each by itself: 4 images, " \
                            "such as 16.png"  # fmt: skip
    groups = homes(done)
    assert [len(groups[f"p{k}"]) for k in range(4)] == [1] * 4
    dataset = build(tmp_path / "labels.csv", group_column="pateint")
    assert dataset.grouped_by is None
    with pytest.raises(OptionError, match="one of the columns path, label, patient, or a regular expression"):
        module.split(dataset, SplitSpec(group="pateint"))


def test_groups_that_the_data_has_by_itself_are_kept_whole():
    samples = [Sample(BytesEntry(f"{k}.png", b""), k % 2, f"p{k // 5}") for k in range(40)]
    done = module.split(Dataset(classes=("cat", "dog"), splits={"train": samples}), SplitSpec())
    assert done.notes[0] == "groups: 8, of 40 images, as the data has them"
    assert max(map(len, homes(done).values())) == 1


def test_a_spec_with_a_group_survives_json_and_a_run_finds_its_training_images_again():
    spec = SplitSpec(group=CLIPS, data_fraction=0.3, seed=2)
    assert SplitSpec.from_json(json.loads(json.dumps(spec.to_json()))) == spec
    run = split(MANY, data_fraction=0.3, seed=2)
    plain = Dataset(classes=("cat", "dog", "eel"), splits={"train": clips(MANY)})
    again = as_recorded(plain, record_splits(run), data_fraction=0.3, group=CLIPS, seed=2)
    for name in ("train", "val"):
        assert {s.name for s in again.splits[name]} == {s.name for s in run.splits[name]}
    assert not [note for note in again.notes if "the training images are not the run's" in note]
