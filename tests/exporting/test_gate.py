import json

import numpy as np
import pytest
import torch

from clsbench.card import GateReport
from clsbench.errors import DataError, OptionError
from clsbench.exporting.gate import TOLERANCE, Gate, GateImages, measure, reference_logits
from clsbench.exporting.gate_images import embedded_photos, load_evenly
from clsbench.images.loader import ImageLoader
from clsbench.models.simple_cnn import build


@pytest.fixture(scope="module")
def network():
    torch.manual_seed(0)
    return build(5, size=16).eval()


@pytest.fixture(scope="module")
def images(network):
    return load_evenly(ImageLoader(network.transform), embedded_photos(count=20))


@pytest.fixture(scope="module")
def reference(network, images):
    return reference_logits(network, images.images)


@pytest.fixture
def answer(network):
    """The trained network itself, as a model file would answer."""

    def run(pixels):
        with torch.inference_mode():
            return network(torch.from_numpy(np.ascontiguousarray(pixels))).numpy()

    return run


def test_the_reference_is_the_network_in_evaluation_mode_at_any_batch_size(network, images, reference, answer):
    np.testing.assert_allclose(reference, answer(images.images), rtol=1e-5, atol=1e-6)
    np.testing.assert_allclose(
        reference_logits(network.train(), images.images, batch=3), reference, rtol=1e-5, atol=1e-6
    )
    assert not network.training


def test_the_network_agrees_with_itself(images, reference, answer):
    parity = measure(reference, answer, images)
    assert parity.passed
    assert [b.batch_size for b in parity.batches] == [1, 3, 20]
    assert (parity.images, parity.top1_agreement) == (20, 1.0)
    assert parity.max_probability_difference < 1e-5


BLACK = GateImages(np.zeros((1, 2, 2, 3), np.uint8))


def brighter(images):
    """What a forgotten mean of 0.5 against 0.45 does."""
    return np.clip(images.astype(int) + 13, 0, 255).astype(np.uint8)


MISTAKES = {
    "a wrong mean": lambda answer: lambda x: answer(brighter(x)),
    "swapped channels": lambda answer: lambda x: answer(x[..., ::-1]),
    "height and width swapped": lambda answer: lambda x: answer(x.transpose(0, 2, 1, 3)),
    "classes in another order": lambda answer: lambda x: answer(x)[:, ::-1],
    "two classes swapped": lambda answer: lambda x: answer(x)[:, [0, 1, 2, 4, 3]],
    "logits of the batch's first image": lambda answer: lambda x: np.repeat(answer(x)[:1], len(x), axis=0),
    "logits of the neighbour": lambda answer: lambda x: np.roll(answer(x), 1, axis=0),
    "normalised over the batch": lambda answer: lambda x: answer(x) - answer(x).mean(axis=0),
    "NaN in one image": lambda answer: lambda x: np.where(np.arange(len(x))[:, None] == 0, np.nan, answer(x)),
    "NaN everywhere": lambda answer: lambda x: np.full_like(answer(x), np.nan),
    "a temperature": lambda answer: lambda x: answer(x) / 2,
}


@pytest.mark.parametrize("mistake", MISTAKES)
def test_the_gate_catches(mistake, images, reference, answer):
    parity = measure(reference, MISTAKES[mistake](answer), images)
    assert not parity.passed
    assert parity.to_json()["passed"] is False


def test_a_network_that_answers_nan_does_not_pass_against_itself(images, reference):
    nothing = np.full_like(reference, np.nan)
    assert not measure(nothing, lambda x: nothing[: len(x)], images).passed


def test_a_mistake_at_one_batch_size_only_is_found(images, reference, answer):
    parity = measure(reference, lambda x: answer(x) if len(x) > 1 else answer(x)[:, ::-1], images)
    assert not parity.passed
    assert [b.max_probability_difference < 1e-5 for b in parity.batches] == [False, True, True]


@pytest.mark.parametrize(("factor", "passed"), [(0.5, True), (2.0, False)])
def test_the_tolerance_is_of_probabilities(factor, passed):
    reference = np.log(np.array([[0.7, 0.3]], np.float32))
    moved = np.log(np.array([[0.7 - factor * TOLERANCE, 0.3 + factor * TOLERANCE]], np.float32))
    parity = measure(reference, lambda x: moved, BLACK)
    assert parity.max_probability_difference == pytest.approx(factor * TOLERANCE, rel=1e-2)
    assert parity.passed is passed


def test_another_top1_fails_however_close_the_probabilities_are():
    reference, other = np.array([[1e-5, 0]], np.float32), np.array([[0, 1e-5]], np.float32)
    parity = measure(reference, lambda x: other, BLACK)
    assert parity.max_probability_difference < TOLERANCE
    assert not parity.passed


def logits_of(predicted):
    """Logits (N, 2) whose top-1 are those given."""
    return np.eye(2, dtype=np.float32)[predicted]


@pytest.mark.parametrize(("max_drop", "passed"), [(24.9, False), (25.0, True), (30.0, True)])
def test_a_drop_of_accuracy_is_in_points_against_the_networks(max_drop, passed):
    labels = np.array([0, 1, 0, 1])
    images = GateImages(np.arange(4, dtype=np.uint8)[:, None, None, None].repeat(3, 3), labels)
    reference, answers = logits_of([0, 1, 0, 0]), logits_of([0, 1, 1, 0])
    report = measure(reference, lambda x: answers[x[:, 0, 0, 0]], images, Gate(max_drop=max_drop, tolerance=None))
    assert (report.reference_accuracy, report.accuracy, report.passed) == (0.75, 0.5, passed)
    assert report.to_json()["max_drop"] == max_drop


def test_a_file_that_is_better_than_its_network_has_not_dropped():
    images = GateImages(np.zeros((2, 1, 1, 3), np.uint8), np.zeros(2, np.int64))
    report = measure(logits_of([1, 1]), lambda x: logits_of([0] * len(x)), images, Gate(max_drop=0, tolerance=None))
    assert report.passed
    assert report.accuracy > report.reference_accuracy


def test_the_lowest_accuracy_of_all_batch_sizes_counts(images, reference, answer):
    labelled = GateImages(images.images, reference.argmax(axis=1))
    wrong_alone = measure(
        reference, lambda x: answer(x) if len(x) > 1 else -answer(x), labelled, Gate(max_drop=50, tolerance=None)
    )
    assert (wrong_alone.accuracy, wrong_alone.reference_accuracy, wrong_alone.passed) == (0.0, 1.0, False)


def test_labels_alone_add_facts_and_change_no_verdict(images, reference, answer):
    report = measure(reference, answer, GateImages(images.images, np.zeros(20, np.int64)))
    assert report.passed
    assert report.accuracy == report.reference_accuracy == (reference.argmax(axis=1) == 0).mean()
    plain = measure(reference, answer, images).to_json()
    assert report.to_json().items() >= plain.items()
    assert report.to_json().keys() - plain.keys() == {"accuracy", "reference_accuracy"}


def test_a_tolerance_still_holds_beside_a_drop(images, reference, answer):
    labelled = GateImages(images.images, reference.argmax(axis=1))
    assert not measure(reference, lambda x: answer(x) / 2, labelled, Gate(max_drop=0)).passed
    assert measure(reference, lambda x: answer(x) / 2, labelled, Gate(max_drop=0, tolerance=None)).passed


def test_without_a_tolerance_every_top1_must_still_agree_and_nan_never_passes(images, reference, answer):
    gate = Gate(tolerance=None)
    assert measure(reference, lambda x: answer(x) / 2, images, gate).passed
    assert not measure(reference, lambda x: answer(x)[:, ::-1], images, gate).passed
    assert not measure(reference, lambda x: np.full_like(answer(x), np.nan), images, gate).passed


def test_a_drop_cannot_be_measured_without_labels(images, reference, answer):
    with pytest.raises(DataError, match="labelled images"):
        measure(reference, answer, images, Gate(max_drop=1))


@pytest.mark.parametrize("options", [{"max_drop": -1}, {"tolerance": -1e-3}, {"max_drop": float("nan")}])
def test_a_gate_out_of_range_is_refused(options):
    with pytest.raises(OptionError, match=next(iter(options))):
        Gate(**options)


def test_the_json_of_a_report_is_read_back(images, reference, answer):
    labelled = GateImages(images.images, reference.argmax(axis=1))
    for report in (measure(reference, answer, images), measure(reference, answer, labelled, Gate(1.0, None))):
        assert GateReport.from_json(json.loads(json.dumps(report.to_json()))) == report
