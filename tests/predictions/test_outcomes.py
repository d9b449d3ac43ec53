import numpy as np
import pytest
from scipy.special import softmax

from clsbench.predictions.block import Predictions
from clsbench.predictions.outcomes import OutcomeCollector


def predictions(logits, errors, labels):
    return Predictions([f"{i}.png" for i in range(len(logits))], logits, errors, np.array(labels))


def test_outcomes_hold_the_labelled_and_classified_images_only():
    collector = OutcomeCollector(("a", "b", "c"))
    logits = np.array([[3, 1, 0], [0, 1, 2], [np.nan] * 3, [0, 5, 0]], np.float32)
    collector.add(predictions(logits, [None, None, "damaged", None], [0, -1, 1, 2]))
    collector.add(predictions(logits[:1], [None], [1]))
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
    collector.add(predictions(np.array([[1, 2]], np.float32), errors, labels))
    assert collector.outcomes() is None
