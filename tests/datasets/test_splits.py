from collections import Counter

import pytest
from hypothesis import given
from hypothesis import strategies as st

from clsbench.datasets.dataset import Sample
from clsbench.datasets.splits import stratified_split
from clsbench.errors import OptionError

LABELS = st.lists(st.sampled_from([None, 0, 1, 2, 7]), max_size=80)
FRACTIONS = st.floats(0.01, 0.99)


def samples(labels):
    return [Sample(f"{i}.png", b"", label) for i, label in enumerate(labels)]


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


@pytest.mark.parametrize("fraction", [0, 1, -0.1, 1.5, float("nan")])
def test_a_fraction_outside_of_0_to_1_is_refused(fraction):
    with pytest.raises(OptionError, match="between 0 and 1"):
        stratified_split(samples([0, 0]), fraction, seed=0)
