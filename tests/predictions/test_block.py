import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import array_shapes, arrays
from scipy.special import softmax

from clsbench.predictions.block import Predictions
from clsbench.predictions.outcomes import OutcomeCollector

LOGITS = arrays(
    np.float32,
    array_shapes(min_dims=2, max_dims=2, min_side=1, max_side=9),
    elements=st.floats(-1e6, 1e6, width=32),
)


def predictions(logits, labels=None, errors=None, temperature=1.0):
    logits = np.asarray(logits, np.float32)
    count = len(logits)
    labels = None if labels is None else np.asarray(labels)
    return Predictions([f"{i}.png" for i in range(count)], logits, errors or [None] * count, labels, temperature)


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


def test_outcomes_hold_the_labelled_and_classified_images_only():
    collector = OutcomeCollector(("a", "b", "c"))
    logits = np.array([[3, 1, 0], [0, 1, 2], [np.nan] * 3, [0, 5, 0]], np.float32)
    collector.add(predictions(logits, [0, -1, 1, 2], [None, None, "damaged", None]))
    collector.add(predictions(logits[:1], [1]))
    got = collector.outcomes()
    assert got.labels.tolist() == [0, 2, 1]
    assert got.predicted.tolist() == [0, 1, 0]
    assert got.ranked.shape == (3, 3)
    want = softmax(logits[[0, 3, 0]], axis=1)
    np.testing.assert_allclose(got.confidence, want.max(axis=1), rtol=1e-6)
    np.testing.assert_allclose(got.label_confidence, want[[0, 1, 2], [0, 2, 1]], rtol=1e-6)


@pytest.mark.parametrize(("labels", "errors"), [([-1], [None]), ([0], ["damaged"])])
def test_without_a_labelled_and_classified_image_there_are_no_outcomes(labels, errors):
    collector = OutcomeCollector(("a", "b"))
    collector.add(predictions([[1, 2]], labels, errors))
    assert collector.outcomes() is None
