"""A fault is planted in each stage of the way from an image to its probabilities, and the gate names it."""

import copy
import dataclasses

import numpy as np
import pytest
import torch

from clsbench.exporting.gate import Gate, measure
from clsbench.exporting.gate_images import GateImages
from clsbench.exporting.gate_paths import PIXEL_TOLERANCE, pillow_decode, pillow_resize, training_path
from clsbench.images.decoders import PillowDecoder
from clsbench.images.entries import BytesEntry
from clsbench.images.formats import FORMATS
from clsbench.models.classifier import with_transform
from clsbench.models.simple_cnn import build
from clsbench.transform import normalise


class Shifted:
    """A decoder whose pixels are some columns to the side."""

    formats = FORMATS

    def __call__(self, data):
        return np.roll(PillowDecoder()(data), 40, axis=1)


def half(network):
    """The network with its weights rounded to float16 and back, and then some: a careless conversion."""
    rounded = copy.deepcopy(network)
    with torch.no_grad():
        for parameter in rounded.parameters():
            parameter.copy_((parameter * 4).round() / 4)
    return rounded


def runs(classifier):
    def answer(images):
        with torch.inference_mode():
            return classifier(torch.from_numpy(np.ascontiguousarray(images))).numpy()

    return answer


def neighbour(answer):
    """Right for one image; of several, each gets its neighbour's row."""
    return lambda images: np.roll(answer(images), 1, axis=0)


def over_the_batch(answer):
    """Right for one image; of several, normalised over all of them."""
    return lambda images: answer(images) - (answer(images).mean(axis=0) if len(images) > 1 else 0)


def blame(reference, inference, images, **options):
    report = measure(reference, inference, images, **options)
    assert not report.passed
    assert report.blamed == max(report.stages, key=lambda stage: stage.difference).stage
    others = [stage.difference for stage in report.stages if stage.stage != report.blamed]
    return report.blamed, max(others)


def test_a_decoder_that_shifts_pixels(reference, path, photos):
    assert blame(reference, path(decoders=[Shifted()]), photos) == ("decode", pytest.approx(0, abs=1e-5))


def test_a_resize_with_another_filter(reference, path, photos, network):
    other = dataclasses.replace(network.transform, interpolation="nearest")
    assert blame(reference, path(transform=other), photos) == ("resize", pytest.approx(0, abs=1e-5))


def test_a_network_with_another_mean_than_the_card_says(path, photos, network):
    wrong = with_transform(network, dataclasses.replace(network.transform, mean=(0.4, 0.5, 0.6))).eval()
    reference = training_path(wrong, network.transform)
    assert blame(reference, path(runs(wrong)), photos) == ("normalise", pytest.approx(0, abs=1e-5))


def test_a_graph_with_other_weights(reference, path, photos):
    torch.manual_seed(1)
    assert blame(reference, path(runs(build(5, size=16).eval())), photos)[0] == "graph"


@pytest.mark.parametrize(
    ("precision", "stage"), [("float16", "precision"), ("int8", "precision"), ("float32", "graph")]
)
def test_rounded_weights_are_a_matter_of_precision_where_the_card_says_so(
    precision, stage, reference, path, photos, network
):
    found = blame(reference, path(runs(half(network))), photos, precision=precision)
    assert found == (stage, pytest.approx(0, abs=1e-5))


@pytest.mark.parametrize("fault", [neighbour, over_the_batch])
def test_a_backend_that_is_wrong_for_several_images(fault, reference, path, photos, answer):
    assert blame(reference, path(fault(answer)), photos) == ("batch", pytest.approx(0, abs=1e-5))


def test_a_backend_that_gives_nan_for_several_images(reference, path, photos, answer):
    found = blame(reference, path(lambda x: answer(x) if len(x) == 1 else np.full((len(x), 5), np.nan)), photos)
    assert found == ("batch", pytest.approx(0, abs=1e-5))


def test_a_temperature_that_one_of_two_files_has(reference, path, photos):
    assert blame(reference, path(temperature=3.0), photos) == ("temperature", pytest.approx(0, abs=1e-5))
    same = dataclasses.replace(reference, temperature=3.0)
    assert measure(same, path(temperature=3.0), photos).passed


def test_files_for_images_of_another_size(reference, path, photos, network):
    other = build(5, size=24).eval()
    found = measure(reference, path(runs(other), transform=other.transform), photos)
    assert (found.passed, found.blamed) == (False, "resize and graph")
    assert [stage.stage for stage in found.stages] == ["decode", "resize and graph", "batch"]


def test_a_network_that_answers_nan_is_to_blame_itself(reference, path, photos):
    nothing = dataclasses.replace(reference, network=lambda images: np.full((len(images), 5), np.nan, np.float32))
    report = measure(nothing, path(lambda images: np.full((len(images), 5), np.nan)), photos)
    assert (report.passed, report.blamed) == (False, "reference")


def test_an_image_that_only_the_reference_reads_is_a_fault_of_decoding(reference, path, photos):
    lenient = dataclasses.replace(reference, decode=lambda entry: np.zeros((20, 20, 3), np.uint8))
    report = measure(lenient, path(), GateImages([*photos.entries, BytesEntry("damaged.jpg", b"no image")]))
    assert (report.passed, report.blamed, report.max_probability_difference) == (False, "decode", np.inf)


@pytest.fixture
def in_pillow(network, reference):
    """The reference of an adopted file: decoded, resized and normalised without clsbench's faster routes."""
    transform = network.transform
    return dataclasses.replace(
        reference, decode=pillow_decode(transform), resize=pillow_resize(transform), own_normalise=None,
        pixel_tolerance=PIXEL_TOLERANCE,
    )  # fmt: skip


def test_what_another_resampler_moves_is_held_to_a_limit_of_its_own(in_pillow, path, photos, answer):
    strict = Gate(tolerance=1e-6)
    report = measure(in_pillow, path(), photos, strict)
    assert report.passed
    assert 1e-6 < report.pixel_difference < PIXEL_TOLERANCE == report.pixel_tolerance
    assert report.network_difference <= 1e-6 < report.max_probability_difference
    colder = measure(in_pillow, path(lambda images: answer(images) * 1.001), photos, strict)
    assert (colder.passed, colder.blamed) == (False, "graph")  # though resizing, which may, moves more
    assert colder.network_difference > 1e-6
    assert not measure(dataclasses.replace(in_pillow, pixel_tolerance=1e-6), path(), photos, strict).passed


def test_another_filter_is_beyond_the_limit_of_pixels(in_pillow, path, photos, network):
    other = dataclasses.replace(network.transform, interpolation="nearest")
    assert blame(in_pillow, path(transform=other), photos)[0] == "resize"
    needed = measure(in_pillow, path(transform=other), photos).required_tolerance
    assert needed > PIXEL_TOLERANCE
    assert measure(in_pillow, path(transform=other), photos, Gate(tolerance=needed)).passed


def test_normalisation_in_numpy_is_what_torchvision_does(network, photos, reference):
    from torchvision.transforms.v2.functional import normalize, to_dtype

    pixels = np.stack([reference.pixels(entry) for entry in photos.entries])
    floats = to_dtype(torch.from_numpy(pixels).permute(0, 3, 1, 2), torch.float32, scale=True)
    mean, std = [0.1, 0.5, 0.7], [0.2, 0.3, 0.9]
    ours = normalise(pixels, dataclasses.replace(network.transform, mean=tuple(mean), std=tuple(std)))
    np.testing.assert_allclose(ours.transpose(0, 3, 1, 2), normalize(floats, mean, std).numpy(), atol=1e-6)
