import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import array_shapes, arrays
from scipy.special import softmax

from clsbench.predictions.block import Predictions

LOGITS = arrays(
    np.float32,
    array_shapes(min_dims=2, max_dims=2, min_side=1, max_side=9),
    elements=st.floats(-1e6, 1e6, width=32),
)


def predictions(logits, labels=None, errors=None, temperature=1.0):
    logits = np.asarray(logits, np.float32)
    count = len(logits)
    block = Predictions([f"{i}.png" for i in range(count)], logits, errors or [None] * count, temperature=temperature)
    return block if labels is None else block.labelled(np.asarray(labels))


@given(LOGITS, st.sampled_from([0.25, 1.0, 3.0]))
def test_probabilities_are_scipys_softmax(logits, temperature):
    got = predictions(logits, temperature=temperature).probabilities
    assert got.dtype == np.float32
    np.testing.assert_allclose(got, softmax(logits.astype(float) / temperature, axis=1), rtol=1e-4, atol=1e-6)


def test_huge_logits_do_not_overflow():
    got = predictions([[1e30, 0, -1e30], [-1e30, -1e30, -1e30]]).probabilities
    np.testing.assert_allclose(got, [[1, 0, 0], [1 / 3] * 3], rtol=1e-6)


def test_temperature_changes_confidence_and_not_the_ranking():
    logits = np.random.default_rng(0).normal(size=(20, 6))
    plain, soft = predictions(logits), predictions(logits, temperature=4.0)
    np.testing.assert_array_equal(plain.top(6), soft.top(6))
    assert (soft.probabilities.max(axis=1) < plain.probabilities.max(axis=1)).all()


def test_rows_with_an_error_stay_nan_and_touch_no_neighbour():
    logits = [[1, 2], [np.nan, np.nan], [3, 1]]
    got = predictions(logits, errors=[None, "damaged", None])
    assert got.ok.tolist() == [True, False, True]
    assert np.isnan(got.probabilities[1]).all()
    np.testing.assert_allclose(got.probabilities[[0, 2]], softmax([[1, 2], [3, 1]], axis=1), rtol=1e-6)


@given(LOGITS, st.integers(1, 12))
def test_top_is_best_first_and_ties_are_in_class_order(logits, k):
    got = predictions(logits).top(k)
    want = [sorted(range(len(row)), key=lambda c, row=row: (-row[c], c))[:k] for row in logits.tolist()]
    assert got.dtype == np.int64
    np.testing.assert_array_equal(got, want)


def test_labels_are_unknown_until_they_are_attached():
    block = predictions([[1, 2], [3, 1]])
    assert (block.labels.dtype, block.labels.tolist()) == (np.int64, [-1, -1])
    labelled = block.labelled(np.array([1, -1]))
    assert labelled.labels.tolist() == [1, -1]
    assert (labelled.names, labelled.logits is block.logits) == (block.names, True)
    assert block.labels.tolist() == [-1, -1]


@pytest.mark.parametrize(
    ("rows", "errors", "labels"), [(3, [None] * 2, None), (2, [None], None), (2, [None] * 2, np.array([0]))]
)
def test_a_block_of_uneven_parts_is_refused(rows, errors, labels):
    logits = np.zeros((rows, 2), np.float32)
    with pytest.raises(ValueError, match=r"2 names, \d rows of logits"):
        Predictions(["a", "b"], logits, errors, *([] if labels is None else [labels]))
