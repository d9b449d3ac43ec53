import dataclasses
import json

import numpy as np
import pytest
import torch

from clsbench.card import ModelCard
from clsbench.errors import DataError, OptionError
from clsbench.exporting.exporter import export_model
from clsbench.exporting.gate import FLOAT16_TOLERANCE, TOLERANCE, Gate, measure, ran_on
from clsbench.exporting.gate_images import GateImages
from clsbench.exporting.gate_paths import InferencePath, ReferencePath, training_path
from clsbench.gate_report import GateReport
from clsbench.images.entries import BytesEntry, PixelsEntry
from clsbench.images.loader import ImageLoader
from clsbench.inference.backend import Backend, DeviceInfo
from clsbench.model_file import read_card
from clsbench.transform import ImageTransform


def test_the_network_agrees_with_itself(reference, path, photos):
    report = measure(reference, path(), photos)
    assert report.passed
    assert [(b.batch_size, b.images) for b in report.batches] == [(1, 18), (3, 18), (4, 20)]
    assert (report.images, report.top1_agreement, report.flips, report.near_ties) == (20, 1.0, 0, 0)
    assert report.mean_probability_difference < report.max_probability_difference < 1e-5
    assert report.required_tolerance == report.max_probability_difference
    assert (report.stages, report.blamed) == ((), None)


def test_the_training_side_is_the_network_in_evaluation_mode(network, photos, reference, answer):
    pixels = np.stack([reference.pixels(entry) for entry in photos.entries])
    training = training_path(network.train(), network.transform)
    np.testing.assert_allclose(training.logits(pixels), answer(pixels), rtol=1e-4, atol=1e-5)
    assert not network.training


MISTAKES = {
    "swapped channels": lambda answer: lambda x: answer(x[..., ::-1]),
    "height and width swapped": lambda answer: lambda x: answer(x.transpose(0, 2, 1, 3)),
    "classes in another order": lambda answer: lambda x: answer(x)[:, ::-1],
    "two classes swapped": lambda answer: lambda x: answer(x)[:, [0, 1, 2, 4, 3]],
    "NaN everywhere": lambda answer: lambda x: np.full_like(answer(x), np.nan),
    "half as sharp": lambda answer: lambda x: answer(x) / 2,
}


@pytest.mark.parametrize("mistake", MISTAKES)
def test_the_gate_catches(mistake, reference, path, photos, answer):
    report = measure(reference, path(MISTAKES[mistake](answer)), photos)
    assert not report.passed
    assert report.blamed == "graph"
    assert report.to_json()["passed"] is False


def test_a_mistake_at_one_batch_size_only_is_found(reference, path, photos, answer):
    report = measure(reference, path(lambda x: answer(x) if len(x) > 1 else answer(x)[:, ::-1]), photos)
    assert not report.passed
    assert [b.max_probability_difference < 1e-5 for b in report.batches] == [False, True, True]


class Told(Backend):
    """Answers image k, whose pixels are all k, with row k of a table; the path of a network of any two answers."""

    device, streams, batch_size = DeviceInfo(device="cpu", provider="test"), 1, 4

    def __init__(self, rows):
        self.rows = np.asarray(rows, np.float32)

    def __call__(self, images):
        return self.rows[images[:, 0, 0, 0]]

    def close(self):
        pass


def told(expected, got, gate=None, labels=None, count=None):
    """The gate's report where the network says ``expected`` and the file ``got``, logits (n, K)."""
    expected, transform = np.asarray(expected, np.float32), ImageTransform(size=(1, 1))
    entries = [PixelsEntry(f"{k}.png", np.full((1, 1, 3), k, np.uint8)) for k in range(count or len(expected))]
    loader = ImageLoader(transform)
    reference = ReferencePath(
        decode=loader.pixels, resize=lambda pixels: pixels, normalise=lambda images: images[:, 0, 0, 0],
        network=lambda rows: expected[rows],
    )  # fmt: skip
    inference = InferencePath(loader=loader, backend=Told(got), classes=expected.shape[1])
    return measure(reference, inference, GateImages(entries, None if labels is None else np.array(labels)), gate)


@pytest.mark.parametrize(("factor", "passed"), [(0.5, True), (2.0, False)])
def test_the_tolerance_is_of_probabilities(factor, passed):
    report = told(np.log([[0.7, 0.3]]), np.log([[0.7 - factor * TOLERANCE, 0.3 + factor * TOLERANCE]]))
    assert report.max_probability_difference == pytest.approx(factor * TOLERANCE, rel=1e-2)
    assert report.required_tolerance == pytest.approx(factor * TOLERANCE, rel=1e-2)
    assert report.passed is passed


@pytest.mark.parametrize("moved", [1e-4, 2e-3, 0.1])
def test_the_smallest_tolerance_that_would_pass_does_and_a_smaller_one_does_not(moved):
    pair = np.log([[0.51, 0.49], [0.8, 0.2]]), np.log([[0.51 - moved, 0.49 + moved], [0.8, 0.2]])
    needed = told(*pair).required_tolerance
    assert told(*pair, Gate(tolerance=needed)).passed
    assert not told(*pair, Gate(tolerance=0.99 * needed)).passed


def test_another_top1_is_a_flip_unless_the_network_hardly_knew_itself():
    nearly, clearly = [0.5004, 0.4996], [0.53, 0.47]
    report = told(np.log([nearly, clearly, clearly]), np.log([nearly[::-1], clearly[::-1], clearly]))
    assert (report.flips, report.near_ties, report.flipped, report.passed) == (1, 1, ("1.png",), False)
    report = told(np.log([nearly, clearly]), np.log([nearly[::-1], clearly]))
    assert (report.flips, report.near_ties, report.passed) == (0, 1, True)
    assert not told(np.log([nearly]), np.log([nearly[::-1]]), Gate(tolerance=None)).passed


def test_probabilities_that_are_all_small_have_a_smaller_tolerance():
    """As an untrained network's of 1000 classes: a difference of 0.001 would be all there is."""
    logits = np.zeros((2, 1000))
    logits[:, 7] = 1
    half = logits / 2
    report = told(logits, half)
    assert report.max_probability_difference < 1.1e-3
    assert (report.passed, report.blamed) == (False, "graph")
    assert report.tolerance == pytest.approx(TOLERANCE * np.e / (np.e + 999) / 0.1)
    assert told(logits, half, Gate(tolerance=report.required_tolerance * 1.001)).passed


def test_all_images_are_run_at_the_plans_batch_size_and_some_at_small_ones():
    rows = np.random.default_rng(0).normal(size=(200, 2))
    report = told(rows, rows)
    assert [(b.batch_size, b.images) for b in report.batches] == [(1, 18), (3, 18), (4, 200)]
    assert [(b.batch_size, b.images) for b in told(rows[:1], rows[:1]).batches] == [(1, 1)]


def logits_of(predicted):
    """Logits (N, 2) whose top-1 are those given."""
    return np.eye(2, dtype=np.float32)[predicted]


@pytest.mark.parametrize(("max_drop", "passed"), [(24.9, False), (25.0, True), (30.0, True)])
def test_a_drop_of_accuracy_is_in_points_against_the_networks(max_drop, passed):
    gate = Gate(max_drop=max_drop, tolerance=None)
    report = told(logits_of([0, 1, 0, 0]), logits_of([0, 1, 1, 0]), gate, [0, 1, 0, 1])
    assert (report.reference_accuracy, report.accuracy, report.passed) == (0.75, 0.5, passed)
    assert report.to_json()["max_drop"] == max_drop


def test_a_file_that_is_better_than_its_network_has_not_dropped():
    report = told(logits_of([1, 1]), logits_of([0, 0]), Gate(max_drop=0, tolerance=None), [0, 0])
    assert report.passed
    assert report.accuracy > report.reference_accuracy


def labelled(photos, answer, reference):
    pixels = np.stack([reference.pixels(entry) for entry in photos.entries])
    return GateImages(photos.entries, answer(pixels).argmax(axis=1))


def test_the_lowest_accuracy_of_all_batch_sizes_counts(reference, path, photos, answer):
    gate, images = Gate(max_drop=50, tolerance=None), labelled(photos, answer, reference)
    report = measure(reference, path(lambda x: answer(x) if len(x) > 1 else -answer(x)), images, gate)
    assert (report.accuracy, report.reference_accuracy, report.passed) == (0.1, 1.0, False)  # 18 of 20 at batch 1


def test_labels_alone_add_facts_and_change_no_verdict(reference, path, photos, answer):
    report = measure(reference, path(), labelled(photos, answer, reference))
    assert report.passed
    assert report.accuracy == report.reference_accuracy == 1
    plain = measure(reference, path(), photos).to_json()
    assert report.to_json().keys() - plain.keys() == {"accuracy", "reference_accuracy"}


def test_a_tolerance_still_holds_beside_a_drop(reference, path, photos, answer):
    images, halved = labelled(photos, answer, reference), path(lambda x: answer(x) / 2)
    assert not measure(reference, halved, images, Gate(max_drop=0)).passed
    assert measure(reference, halved, images, Gate(max_drop=0, tolerance=None)).passed


def test_without_a_tolerance_every_top1_must_still_agree_and_nan_never_passes(reference, path, photos, answer):
    gate = Gate(tolerance=None)
    assert measure(reference, path(lambda x: answer(x) / 2), photos, gate).passed
    assert not measure(reference, path(lambda x: answer(x)[:, ::-1]), photos, gate).passed
    assert not measure(reference, path(lambda x: np.full_like(answer(x), np.nan)), photos, gate).passed


def test_a_drop_cannot_be_measured_without_labels(reference, path, photos):
    with pytest.raises(DataError, match="labelled images"):
        measure(reference, path(), photos, Gate(max_drop=1))


@pytest.mark.parametrize("options", [{"max_drop": -1}, {"tolerance": -1e-3}, {"max_drop": float("nan")}])
def test_a_gate_out_of_range_is_refused(options):
    with pytest.raises(OptionError, match=next(iter(options))):
        Gate(**options)


DAMAGED = BytesEntry("damaged.jpg", b"no image")


def test_unreadable_images_are_left_out_with_their_labels_and_counted(reference, path, photos, answer):
    known = labelled(photos, answer, reference).labels
    images = GateImages([DAMAGED, *photos.entries, DAMAGED], np.array([4, *known, 4]))
    report = measure(reference, path(), images)
    assert (report.images, report.unreadable, report.accuracy, report.passed) == (20, 2, 1.0, True)


@pytest.mark.parametrize(("entries", "reason"), [([], "no images"), ([DAMAGED, DAMAGED], "known format")])
def test_no_readable_image_is_an_error_with_the_reason(entries, reason, reference, path):
    with pytest.raises(DataError, match=reason):
        measure(reference, path(), GateImages(entries))


def test_classes_in_another_order_are_brought_into_the_references(reference, path, photos, answer):
    order = [3, 1, 4, 0, 2]
    assert measure(reference, path(lambda x: answer(x)[:, order], columns=np.argsort(order)), photos).passed
    assert not measure(reference, path(lambda x: answer(x)[:, order]), photos).passed


def test_the_json_of_a_report_is_read_back(reference, path, photos, answer):
    images = labelled(photos, answer, reference)
    failed = measure(reference, path(lambda x: -answer(x)), images)
    for report in (measure(reference, path(), photos), measure(reference, path(), images, Gate(1.0, None)), failed):
        assert GateReport.from_json(json.loads(json.dumps(report.to_json()))) == report
    assert failed.flips == 20
    assert len(failed.flipped) == 5


def test_a_report_of_an_earlier_version_is_read():
    """As cards have had it since 0.1: three batch sizes, all images at each."""
    batches = [{"batch_size": 1, "top1_agreement": 1.0, "max_probability_difference": 7e-7}]
    report = GateReport.from_json(
        {"images": 64, "batches": batches, "tolerance": 0.001, "top1_agreement": 1.0, "passed": True,
         "max_probability_difference": 7e-7}
    )  # fmt: skip
    assert (report.passed, report.images, report.batches[0].images, report.flips) == (True, 64, None, None)


def test_a_fast_network_is_heard_image_by_image(reference, path, photos):
    heard = []
    measure(reference, path(), GateImages([*photos.entries, DAMAGED]), heard=heard.append)
    assert sum(heard) == 21


def test_probabilities_are_compared_at_the_cards_temperature(reference, path, photos, answer):
    colder = dataclasses.replace(reference, temperature=0.5)
    assert measure(colder, path(temperature=0.5), photos).passed
    assert not measure(colder, path(), photos).passed
    assert torch.is_grad_enabled()


class OnGpu(Backend):
    """The network's answers, a little off, as from TF32."""

    streams, batch_size = 1, 4

    def __init__(self, answer, tf32):
        self.answer, self.device = answer, DeviceInfo(device="cuda", provider="CUDAExecutionProvider", tf32=tf32)

    def __call__(self, images):
        logits = self.answer(images)
        return logits + np.float32(0.02) * np.sin(np.arange(logits.shape[1], dtype=np.float32))

    def close(self):
        pass


@pytest.mark.parametrize("tf32", [True, False])
def test_tf32_is_held_to_the_tolerance_of_float16_and_is_in_the_card(tf32, network, answer, photos, tmp_path):
    card = ModelCard(classes=tuple("abcde"), transform=network.transform)
    result = export_model(network, card, photos, tmp_path / "model.onnx", lambda file: OnGpu(answer, tf32))
    assert TOLERANCE < result.report.max_probability_difference < FLOAT16_TOLERANCE
    assert (result.report.passed, result.report.device, result.report.tf32) == (tf32, "cuda", tf32)
    if tf32:
        assert read_card(result.file).parity.to_json()["tf32"] is True


def test_a_report_from_a_cpu_names_no_device(reference, path, photos):
    report = measure(reference, path(), photos)
    assert ran_on(path().backend.device, report) == report
    assert {"device", "tf32"}.isdisjoint(report.to_json())
