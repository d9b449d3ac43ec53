"""One temperature, against minimisers and scores that know nothing of clsbench."""

import numpy as np
import pytest
import torch
from scipy.special import log_softmax, softmax
from sklearn.metrics import log_loss

from clsbench.card import ModelCard
from clsbench.errors import DataError, ModelError
from clsbench.exporting.calibration import (
    FOLDS,
    LabelledLogits,
    best_temperature,
    calibrate,
    confidences,
    fold_of,
    intervals,
    losses,
)
from clsbench.transform import ImageTransform


def drawn(count, classes, *, times=1.0, seed=0):
    """Logits whose softmax is the truth, and then multiplied: the best temperature is ``times``."""
    random = np.random.default_rng(seed)
    logits = 2 * random.normal(size=(count, classes))
    labels = (softmax(logits, axis=1).cumsum(axis=1) > random.random((count, 1))).argmax(axis=1)
    return LabelledLogits((times * logits).astype(np.float32), labels)


def of_torch(logits, labels):
    """The temperature by LBFGS, as the code of Guo et al. does it (github.com/gpleiss/temperature_scaling)."""
    log_t = torch.zeros((), dtype=torch.float64, requires_grad=True)
    optimizer = torch.optim.LBFGS([log_t], max_iter=200, line_search_fn="strong_wolfe", tolerance_grad=1e-10)
    given, truth = torch.from_numpy(logits).double(), torch.from_numpy(labels)

    def step():
        optimizer.zero_grad()
        loss = torch.nn.functional.cross_entropy(given / log_t.exp(), truth)
        loss.backward()
        return loss

    optimizer.step(step)
    return float(log_t.detach().exp())


@pytest.mark.parametrize(("classes", "times"), [(2, 3.0), (10, 0.4), (100, 1.7)])
def test_the_temperature_is_that_of_torch(classes, times):
    known = drawn(500, classes, times=times)
    assert best_temperature(known.logits, known.labels) == pytest.approx(of_torch(known.logits, known.labels), rel=1e-4)


@pytest.mark.parametrize("times", [0.3, 1.0, 4.0])
def test_logits_that_were_scaled_are_scaled_back(times):
    temperature, found = calibrate(drawn(4000, 5, times=times))
    low, high = found.temperature_interval
    assert low < times < high
    assert temperature == pytest.approx(times, rel=0.08)
    assert found.helps == (times != 1)
    if times != 1:
        assert found.log_loss_after < found.log_loss_before
        assert found.ece_after < 0.5 * found.ece_before


def test_before_and_after_are_scikit_learns_log_loss_of_images_that_were_not_fitted():
    known = drawn(150, 3, times=2.0)
    _, found = calibrate(known)
    assert found.log_loss_before == pytest.approx(log_loss(known.labels, softmax(known.logits.astype(float), axis=1)))
    fold, after = fold_of(known.labels), np.empty(150)
    for k in range(FOLDS):
        temperature = of_torch(*known.take(fold != k))
        scores = log_softmax(known.logits[fold == k].astype(float) / temperature, axis=1)
        after[fold == k] = -scores[np.arange(len(scores)), known.labels[fold == k]]
    assert found.log_loss_after == pytest.approx(after.mean(), rel=1e-6)


def test_the_interval_is_that_of_fitting_to_redrawn_images():
    known = drawn(300, 3, times=2.0)
    random, fitted = np.random.default_rng(1), []
    for _ in range(400):
        rows = random.integers(0, 300, 300)
        fitted.append(best_temperature(known.logits[rows], known.labels[rows]))
    got, _ = intervals(known.logits, known.labels, best_temperature(known.logits, known.labels))
    assert got == pytest.approx(np.quantile(fitted, [0.025, 0.975]), rel=0.03)


@pytest.mark.parametrize("times", [1.0, 2.0])
def test_the_change_of_the_log_loss_of_new_images_is_in_its_interval(times):
    """An interval that takes the temperatures of the folds as given holds it in 60 to 80 % of such cases."""
    new, held = drawn(20_000, 3, times=times, seed=99), []
    plain = losses(new.logits, new.labels, 1.0).mean()
    for seed in range(25):
        temperature, found = calibrate(drawn(80, 3, times=times, seed=seed))
        low, high = found.log_loss_change
        held.append(low <= losses(new.logits, new.labels, temperature).mean() - plain <= high)
        assert not (found.helps and times == 1.0)
    assert np.mean(held) >= 0.84


def test_each_fold_has_its_share_of_every_class():
    labels = np.repeat([0, 1, 2], [50, 23, 3])
    folds = np.stack([np.bincount(labels[fold_of(labels) == k], minlength=3) for k in range(FOLDS)])
    assert (np.ptp(folds, axis=0) <= 1).all()
    assert (fold_of(labels) == fold_of(labels)).all()


def test_confidences_are_those_of_softmax():
    known, temperature = drawn(40, 4), np.repeat([0.5, 3.0], 20)
    expected = softmax(known.logits.astype(float) / temperature[:, None], axis=1).max(axis=1)
    np.testing.assert_allclose(confidences(known.logits, temperature), expected, rtol=1e-5)


def test_nothing_is_fitted_where_there_is_no_best_temperature():
    sure = np.eye(3, dtype=np.float32)[np.arange(60) % 3]
    with pytest.raises(DataError, match="classified correctly") as caught:
        calibrate(LabelledLogits(sure, np.arange(60) % 3))
    assert "--calibrate-images" in str(caught.value)
    with pytest.raises(ModelError, match="no temperature makes sense"):
        calibrate(LabelledLogits(sure, (np.arange(60) + 1) % 3))
    with pytest.raises(ModelError, match="not finite"):
        LabelledLogits(np.full((60, 3), np.nan, np.float32), np.arange(60) % 3)


@pytest.mark.parametrize(("count", "classes", "fewest"), [(19, 2, 20), (199, 100, 200)])
def test_few_images_are_too_few(count, classes, fewest):
    with pytest.raises(DataError, match="too few") as caught:
        LabelledLogits(np.zeros((count, classes), np.float32), np.zeros(count, int), unreadable=3)
    assert f"at least {fewest}" in str(caught.value)
    assert "3 that cannot be read" in str(caught.value)


def test_a_card_keeps_the_record():
    temperature, record = calibrate(drawn(100, 3, times=2.0))
    card = ModelCard(
        classes=("a", "b", "c"), transform=ImageTransform(size=(8, 8)), temperature=temperature, calibration=record
    )
    assert ModelCard.from_json(card.to_json()) == card
