import numpy as np
import pytest
import torch

from clsbench.exporting.gate import TOLERANCE, measure, reference_logits
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
    return reference_logits(network, images)


@pytest.fixture
def answer(network):
    """The trained network itself, as a model file would answer."""

    def run(pixels):
        with torch.inference_mode():
            return network(torch.from_numpy(np.ascontiguousarray(pixels))).numpy()

    return run


def test_the_reference_is_the_network_in_evaluation_mode_at_any_batch_size(network, images, reference, answer):
    np.testing.assert_allclose(reference, answer(images), rtol=1e-5, atol=1e-6)
    np.testing.assert_allclose(reference_logits(network.train(), images, batch=3), reference, rtol=1e-5, atol=1e-6)
    assert not network.training


def test_the_network_agrees_with_itself(images, reference, answer):
    parity = measure(reference, answer, images)
    assert parity.passed
    assert [b.batch_size for b in parity.batches] == [1, 3, 20]
    assert (parity.images, parity.top1_agreement) == (20, 1.0)
    assert parity.max_probability_difference < 1e-5


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
    parity = measure(reference, lambda x: moved, np.zeros((1, 2, 2, 3), np.uint8))
    assert parity.max_probability_difference == pytest.approx(factor * TOLERANCE, rel=1e-2)
    assert parity.passed is passed


def test_another_top1_fails_however_close_the_probabilities_are():
    reference, other = np.array([[1e-5, 0]], np.float32), np.array([[0, 1e-5]], np.float32)
    parity = measure(reference, lambda x: other, np.zeros((1, 2, 2, 3), np.uint8))
    assert parity.max_probability_difference < TOLERANCE
    assert not parity.passed
