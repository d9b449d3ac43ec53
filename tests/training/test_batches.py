import threading
import time

import numpy as np
import pytest
import torch

from clsbench.training.batches import Batches

CPU = torch.device("cpu")


class Numbers:
    """A source whose inputs are their own indices; even labels are 0, odd ones 1."""

    def __init__(self, count, *, ahead=0):
        self.ahead = ahead
        self.indices, self.labels = np.arange(count), np.arange(count) % 2
        self.fetched, self.finished, self.views = [], [], []
        self.failing = {}

    def agree(self, processes):
        pass

    def fetch(self, indices, view):
        self.fetched.append(threading.current_thread())
        time.sleep(0.02 if len(self.fetched) == 1 and self.ahead else 0)
        return indices.astype(np.float32), indices

    def finish(self, stored, indices, view, draws=None):
        self.draws = draws
        self.finished.append(threading.current_thread())
        self.views.append(view)
        return stored


def order(batches, number):
    return [inputs.int().tolist() for inputs, _ in batches.epoch(number)]


@pytest.mark.parametrize("ahead", [0, 1, 3, 50])
def test_reading_ahead_changes_neither_inputs_nor_order(ahead):
    want = order(Batches(Numbers(23), 4, CPU, shuffle=True), 1)
    assert order(Batches(Numbers(23, ahead=ahead), 4, CPU, shuffle=True), 1) == want


@pytest.mark.parametrize(("ahead", "at_first"), [(0, 1), (2, 3)])
def test_only_a_few_batches_are_read_ahead(ahead, at_first):
    source = Numbers(40, ahead=ahead)
    batches = Batches(source, 4, CPU).epoch(0)
    next(batches)
    time.sleep(0.05)
    assert len(source.fetched) <= at_first
    batches.close()


def test_what_is_read_ahead_is_finished_beside_the_network():
    source = Numbers(12, ahead=2)
    order(Batches(source, 4, CPU), 0)
    assert threading.current_thread() not in {*source.fetched, *source.finished}


def test_validation_holds_everything_in_order_and_labels_belong_to_their_inputs():
    batches = Batches(Numbers(10), 4, CPU)
    assert order(batches, 0) == [[0, 1, 2, 3], [4, 5, 6, 7], [8, 9]]
    assert len(batches) == 3
    for inputs, labels in Batches(Numbers(10), 4, CPU, shuffle=True).epoch(1):
        assert labels.tolist() == [int(k) % 2 for k in inputs]
        assert labels.dtype == torch.int64


@pytest.mark.parametrize(("count", "sizes"), [(11, [4, 4]), (12, [4, 4, 4]), (3, [3]), (4, [4])])
def test_an_incomplete_last_batch_is_dropped_in_training_unless_it_is_the_only_one(count, sizes):
    batches = Batches(Numbers(count), 4, CPU, shuffle=True)
    epoch = order(batches, 1)
    assert [len(part) for part in epoch] == sizes
    assert len(batches) == len(sizes)
    assert len({k for part in epoch for k in part}) == sum(sizes)


def test_each_epoch_and_each_seed_has_its_own_order_again_and_again():
    first, same, later, other = (
        order(Batches(Numbers(20), 4, CPU, seed, shuffle=True), number)
        for seed, number in ((0, 1), (0, 1), (0, 2), (1, 1))
    )
    assert first == same
    assert len({str(k) for k in (first, later, other)}) == 3


@pytest.mark.parametrize(
    ("views", "shown"), [(1, [0, 0, 0, 0, 0]), (2, [1, 2, 1, 2, 1]), (3, [1, 2, 3, 1, 2]), (0, [1, 2, 3, 4, 5])]
)
def test_views_take_turns(views, shown):
    source = Numbers(4)
    batches = Batches(source, 4, CPU, shuffle=True, views=views)
    for number in range(1, 6):
        order(batches, number)
    assert source.views == shown


def test_validation_is_without_randomness():
    source = Numbers(4)
    order(Batches(source, 4, CPU), 0)
    assert source.views == [0]


class Uneven(Numbers):
    """Three classes of 8, 24 and 96 inputs."""

    def __init__(self):
        super().__init__(128)
        self.labels = np.repeat([0, 2, 5], [8, 24, 96])


def test_balanced_batches_draw_every_class_equally_often_and_repeat():
    source = Uneven()
    batches = Batches(source, 32, CPU, seed=3, shuffle=True, balanced=True)
    epochs = [np.concatenate([labels.numpy() for _, labels in batches.epoch(number)]) for number in range(1, 101)]
    assert {len(labels) for labels in epochs} == {128}
    counts = np.bincount(np.concatenate(epochs), minlength=6)[[0, 2, 5]]
    # Each count is binomial: five standard deviations around a third.
    assert np.abs(counts - 12800 / 3).max() < 5 * np.sqrt(12800 * 1 / 3 * 2 / 3)
    assert order(batches, 7) == order(Batches(Uneven(), 32, CPU, seed=3, shuffle=True, balanced=True), 7)
    assert order(batches, 7) != order(batches, 8)


def test_every_input_of_a_class_is_as_likely_as_the_others():
    source = Uneven()
    batches = Batches(source, 32, CPU, shuffle=True, balanced=True)
    drawn = np.bincount([k for number in range(200) for part in order(batches, number) for k in part], minlength=128)
    expected = 200 * 128 / 3 / np.repeat([8, 24, 96], [8, 24, 96])
    assert (np.abs(drawn - expected) < 5 * np.sqrt(expected)).all()


def test_copies_of_an_input_in_an_epoch_are_told_apart():
    source, seen = Uneven(), []
    for _ in Batches(source, 32, CPU, shuffle=True, balanced=True).epoch(1):
        seen += source.draws.tolist()
    assert seen == list(range(128))
    list(Batches(source, 32, CPU, shuffle=True).epoch(1))
    assert source.draws is None
