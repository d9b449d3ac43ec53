import json
import logging
import re
import site
from pathlib import Path

import numpy as np
import onnx
import onnxruntime
import pytest
import torch
from sklearn.metrics import accuracy_score
from torch import nn

import clsbench
from clsbench.card import ModelCard, ModelSource
from clsbench.errors import DataError, ModelError
from clsbench.exporting import exporter
from clsbench.exporting.exporter import export_model
from clsbench.exporting.gate import Gate
from clsbench.exporting.gate_images import GateImages, choose_evenly, embedded_photos
from clsbench.exporting.onnx_export import to_onnx, write_model
from clsbench.images.loader import ImageLoader
from clsbench.inference.backend import Backend
from clsbench.model_file import read_card
from clsbench.models.classifier import Classifier
from clsbench.models.simple_cnn import build
from clsbench.testing import installed
from clsbench.transform import ImageTransform, normalise

CLASSES = ("cat", "dog", "Œuf")
SOURCE = ModelSource("simple-cnn")


@pytest.fixture(scope="module")
def network():
    torch.manual_seed(0)
    return build(3, size=16)


@pytest.fixture(scope="module")
def images():
    return GateImages(embedded_photos(count=9))


@pytest.fixture(scope="module")
def pixels(network, images):
    """uint8 (9, 16, 16, 3)."""
    return np.stack(list(map(ImageLoader(network.transform), images.entries)))


@pytest.fixture(scope="module")
def card(network):
    return ModelCard(classes=CLASSES, transform=network.transform, model=SOURCE, clsbench_version="1.2")


def open_cpu(file):
    return installed("backend", "onnxruntime").build(file, "cpu")


@pytest.fixture(scope="module")
def exported(network, card, images, tmp_path_factory):
    """The written file and the gate's report."""
    file = tmp_path_factory.mktemp("export") / "model.onnx"
    result = export_model(network, card, images, file, open_cpu)
    assert result.file == file
    return file, result.report


def test_the_file_agrees_with_the_network_at_every_batch_size(exported, network, pixels):
    session = onnxruntime.InferenceSession(exported[0], providers=["CPUExecutionProvider"])
    with torch.inference_mode():
        want = network.eval()(torch.from_numpy(pixels)).numpy()
    for size in (1, 2, 5, 9):
        (got,) = session.run(["logits"], {"images": pixels[:size]})
        np.testing.assert_allclose(got, want[:size], rtol=1e-4, atol=1e-5)


def test_the_graph_keeps_the_contract(exported):
    model = onnx.load(exported[0])
    onnx.checker.check_model(model, full_check=True)
    ((name, dtype, shape),), ((out_name, out_dtype, out_shape), (more_name, more_dtype, more_shape)) = (
        [(v.name, v.type.tensor_type.elem_type, v.type.tensor_type.shape.dim) for v in values]
        for values in (model.graph.input, model.graph.output)
    )
    assert (name, dtype, [d.dim_value for d in shape]) == ("images", onnx.TensorProto.UINT8, [0, 16, 16, 3])
    assert (out_name, out_dtype, [d.dim_value for d in out_shape]) == ("logits", onnx.TensorProto.FLOAT, [0, 3])
    assert (more_name, more_dtype, [d.dim_value for d in more_shape]) == ("features", onnx.TensorProto.FLOAT, [0, 64])
    assert more_shape[0].dim_param == out_shape[0].dim_param
    assert shape[0].dim_param
    assert shape[0].dim_param == out_shape[0].dim_param


def test_the_card_inside_is_the_one_given_and_the_gates_result(exported, card):
    file, parity = exported
    read = read_card(file)
    assert (read.classes, read.transform, read.model) == (CLASSES, card.transform, card.model)
    assert parity.passed
    assert read.parity == parity
    assert read.parity.images == 9


def test_everything_is_in_one_file(exported):
    assert [path.name for path in exported[0].parent.iterdir()] == ["model.onnx"]


@pytest.mark.parametrize(
    "trace", [str(Path(clsbench.__file__).parent.parent), str(Path.home()), "site-packages", *site.getsitepackages()]
)
def test_no_path_of_this_machine_is_in_the_file(exported, trace):
    data = exported[0].read_bytes()
    assert trace.encode() not in data
    assert not re.search(rb"[\w/]+\.py\b", data)


def test_the_same_network_gives_the_same_bytes(exported, network, card, images):
    file = exported[0].parent.parent / "again.onnx"
    export_model(network, card, images, file, open_cpu)
    assert file.read_bytes() == exported[0].read_bytes()


class Liar(Backend):
    """A backend whose answers are for other classes."""

    def __init__(self, file):
        self.truth, self.closed = open_cpu(file), False
        self.device, self.streams, self.batch_size = self.truth.device, 1, 4

    def __call__(self, images):
        return self.truth(images)[:, ::-1]

    def close(self):
        self.closed = True


def test_a_graph_that_disagrees_is_not_written(network, card, images, tmp_path):
    opened = []

    def open_liar(file):
        opened.append(Liar(file))
        return opened[-1]

    result = export_model(network, card, images, tmp_path / "model.onnx", open_liar)
    assert not result.report.passed
    assert result.file is None
    assert list(tmp_path.iterdir()) == []
    assert opened[0].closed


def test_a_backend_that_fails_is_closed_and_nothing_is_written(network, card, images, tmp_path):
    class Failing(Liar):
        def __call__(self, images):
            raise MemoryError

    opened = []
    with pytest.raises(MemoryError):
        export_model(
            network, card, images, tmp_path / "model.onnx", lambda file: opened.append(Failing(file)) or opened[-1]
        )
    assert opened[0].closed
    assert list(tmp_path.iterdir()) == []


def test_a_gate_of_accuracy_writes_a_file_that_disagrees_a_little(network, card, images, pixels, tmp_path):
    file = tmp_path / "model.onnx"
    labels = np.zeros(9, np.int64)
    labelled = GateImages(images.entries, labels)
    assert export_model(network, card, labelled, file, Liar, Gate(max_drop=100, tolerance=None)).file == file
    parity = read_card(file).parity
    assert (parity.max_drop, parity.tolerance, parity.passed) == (100, None, True)
    assert parity.flips > 0
    assert parity.flipped == ()  # names of images are not for whoever gets the file
    with torch.inference_mode():
        truth = network.eval()(torch.from_numpy(pixels)).numpy()
    assert parity.reference_accuracy == accuracy_score(labels, truth.argmax(1))
    assert parity.accuracy == accuracy_score(labels, truth[:, ::-1].argmax(1))


def test_a_gate_of_accuracy_without_labels_is_refused_before_the_export(network, card, images, tmp_path, monkeypatch):
    monkeypatch.setattr(exporter, "to_onnx", lambda classifier: pytest.fail("the network was translated"))
    with pytest.raises(DataError, match="needs labelled images"):
        export_model(network, card, images, tmp_path / "model.onnx", open_cpu, Gate(max_drop=1))


def test_the_json_of_a_result_is_that_of_the_command(network, card, images, tmp_path):
    result = export_model(network, card, images, tmp_path / "model.onnx", open_cpu)
    facts = json.loads(json.dumps(result.to_json()))
    assert list(facts) == ["schema", "file", "parity", "card"]
    assert (facts["schema"], facts["file"]) == (1, str(tmp_path / "model.onnx"))
    assert facts["card"] == {**json.loads(read_card(result.file).dumps()), "parity": {}}
    assert facts["parity"] == read_card(result.file).to_json()["parity"]
    assert result.card == read_card(result.file)


def test_a_graph_that_disagrees_replaces_no_older_file(network, card, images, tmp_path):
    (tmp_path / "model.onnx").write_bytes(b"yesterday's")
    export_model(network, card, images, tmp_path / "model.onnx", Liar)
    assert (tmp_path / "model.onnx").read_bytes() == b"yesterday's"


def test_a_network_left_in_training_mode_is_exported_for_evaluation(network, card, images, tmp_path):
    network.train()
    assert export_model(network, card, images, tmp_path / "model.onnx", open_cpu).file


@pytest.mark.parametrize("color", ["RGB", "BGR"])
def test_the_normalisation_in_the_file_is_the_one_that_the_card_states(tmp_path, color):
    """A network of which the logits are the means of the normalised channels, in the order that it reads them."""
    transform = ImageTransform(size=(8, 6), color=color, mean=(0.1, 0.4, 0.7), std=(0.2, 0.5, 1 / 255))
    backbone = nn.Sequential(nn.AdaptiveAvgPool2d(1), nn.Flatten())
    classifier = Classifier(backbone, nn.Identity(), transform=transform, feature_dim=3)
    shown = choose_evenly(embedded_photos(count=5))
    pixels = np.stack([ImageLoader(transform)(entry) for entry in shown.entries])
    card, file = ModelCard(classes=CLASSES, transform=transform), tmp_path / "model.onnx"
    assert export_model(classifier, card, shown, file, open_cpu).report.passed
    session = onnxruntime.InferenceSession(file, providers=["CPUExecutionProvider"])
    (logits,) = session.run(["logits"], {"images": pixels})
    want = normalise(pixels, read_card(file).transform).mean(axis=(1, 2), dtype=np.float64)
    np.testing.assert_allclose(logits, want, rtol=1e-4, atol=1e-4)


class Permuting(nn.Module):
    """Pools like ConvNeXt, which permutes by itself, and asks for the batch size like a vision transformer."""

    def __init__(self):
        super().__init__()
        self.token, self.conv, self.pool = nn.Parameter(torch.ones(1, 4)), nn.Conv2d(3, 4, 3), nn.AdaptiveAvgPool2d(1)

    def forward(self, x):
        last = self.conv(x).permute(0, 2, 3, 1).contiguous().relu()
        pooled = nn.functional.adaptive_avg_pool2d(x, 1)[:, :1] + self.pool(last.permute(0, 3, 1, 2))
        return pooled.flatten(1) + self.token.expand(x.shape[0], -1)


def test_the_graph_begins_with_a_cast_and_pools_without_gathers():
    """TensorRT takes uint8 into a Cast alone; strided views of channels-last images become Shape, Range and Gather."""
    transform = ImageTransform(size=(16, 16), color="BGR")
    graph = to_onnx(Classifier(Permuting(), nn.Linear(4, 2), transform=transform, feature_dim=4)).graph
    assert [node.op_type for node in graph.node if "images" in node.input] == ["Cast"]
    assert {"Range", "Gather", "GatherND"}.isdisjoint(node.op_type for node in graph.node)


def test_dropout_and_batch_norm_are_exported_as_they_evaluate(network, images, pixels, tmp_path):
    backbone = nn.Sequential(nn.Conv2d(3, 4, 3), nn.BatchNorm2d(4), nn.AdaptiveAvgPool2d(2), nn.Flatten(), nn.Dropout())
    classifier = Classifier(backbone, nn.Linear(16, 2), transform=network.transform, feature_dim=16)
    classifier(torch.from_numpy(pixels))
    card = ModelCard(classes=("a", "b"), transform=network.transform)
    assert export_model(classifier, card, images, tmp_path / "model.onnx", open_cpu).file


class Branches(nn.Module):
    def forward(self, x):
        return x.flatten(1)[:, :1] if x.sum() > 0 else x.flatten(1)[:, 1:2]


def test_a_network_that_cannot_be_translated_is_a_model_error(network):
    classifier = Classifier(Branches(), nn.Linear(1, 2), transform=network.transform, feature_dim=1)
    with pytest.raises(ModelError, match="cannot translate"):
        to_onnx(classifier)


def test_translation_says_nothing_of_its_own(network, capfd, caplog):
    to_onnx(network)
    assert capfd.readouterr() == ("", "")
    assert [record for record in caplog.records if record.levelno >= logging.WARNING] == []


def test_a_place_that_cannot_be_written_is_named(exported, card, tmp_path):
    (tmp_path / "taken").touch()
    with pytest.raises(DataError, match="taken"):
        write_model(onnx.load(exported[0]), card, tmp_path / "taken" / "model.onnx")
