"""The second output: what torch's backbone gives of real photos."""

import dataclasses

import numpy as np
import onnx
import pytest
import torch
from torch import nn

from clsbench import infer, load
from clsbench.card import METADATA_KEY, ModelCard
from clsbench.errors import ModelError
from clsbench.exporting.exporter import export_model
from clsbench.exporting.gate_images import choose_evenly, embedded_photos
from clsbench.images.loader import ImageLoader
from clsbench.inference.class_activation import ClassActivation
from clsbench.model_file import contract_gaps, read_card
from clsbench.models.classifier import Classifier
from clsbench.onnx_file import read_onnx
from clsbench.testing import installed
from clsbench.transform import ImageTransform

CLASSES = ("cat", "dog", "owl")


def classifier_of(name):
    torch.manual_seed(0)
    if name == "resnet18":
        return installed("model", name).build(3, size=64)
    if name == "simple-cnn":
        return installed("model", name).build(3, size=32)
    backbone = nn.Sequential(nn.Conv2d(3, 3, 3), nn.AdaptiveAvgPool2d(1), nn.Flatten())
    return Classifier(backbone, nn.Identity(), transform=ImageTransform(size=(16, 24)), feature_dim=3)


@pytest.fixture(scope="module", params=["simple-cnn", "resnet18", "no head"])
def exported(request, tmp_path_factory):
    """The network, its file, and real photos."""
    network = classifier_of(request.param)
    images = choose_evenly(embedded_photos(count=5))
    pixels = np.stack([ImageLoader(network.transform)(entry) for entry in images.entries])
    file = tmp_path_factory.mktemp("features") / "model.onnx"
    card = ModelCard(classes=CLASSES, transform=network.transform)
    result = export_model(network, card, images, file, lambda trial: installed("backend", "onnxruntime").build(trial))
    assert result.file == file
    return network, file, pixels


def test_the_features_are_those_of_torch(exported):
    network, file, images = exported
    card = read_card(file)
    assert card.feature_dim == network.feature_dim
    assert contract_gaps(read_onnx(file), card) == ()
    with torch.inference_mode():
        expected = network.eval().features(torch.from_numpy(images)).numpy()
    backend = installed("backend", "onnxruntime").build(file, "cpu")
    for size in (1, 3, 5):
        logits, features = backend.with_features(images[:size])
        np.testing.assert_allclose(features, expected[:size], rtol=1e-4, atol=1e-4)
        np.testing.assert_allclose(logits, backend(images[:size]), rtol=1e-5, atol=1e-6)
    with load(file, device="cpu") as model:
        one = model.embed(embedded_photos(count=1)[0].read())
        np.testing.assert_allclose(one, expected[0], rtol=1e-4, atol=1e-4)


def test_a_file_without_them_does_all_else_as_before(exported, tmp_path):
    _, file, images = exported
    old = onnx.load(file)
    del old.graph.output[1]
    card = dataclasses.replace(read_card(file), feature_dim=None)
    old.metadata_props[0].value = card.dumps()
    assert old.metadata_props[0].key == METADATA_KEY
    onnx.save(old, tmp_path / "old.onnx")
    assert contract_gaps(read_onnx(tmp_path / "old.onnx"), card) == ()
    with load(tmp_path / "old.onnx", device="cpu") as model, load(file, device="cpu") as new:
        for image in images:
            expected = new.predict(image).probabilities
            np.testing.assert_allclose(model.predict(image).probabilities, expected, rtol=1e-5, atol=1e-7)
        with pytest.raises(ModelError, match="gives no features") as error:
            model.embed(images[0])
    assert "export the model again" in str(error.value)
    with pytest.raises(ModelError, match="gives no features"):
        infer(str(tmp_path), model=tmp_path / "old.onnx", features=True)


def test_class_activation_maps_are_found_as_before(exported):
    network, file, images = exported
    if network.feature_dim == 64:
        pytest.skip("simple-cnn ends in another way")
    logits, _ = ClassActivation(file, read_card(file))(images[0])  # it proves the maps itself
    expected = installed("backend", "onnxruntime").build(file, "cpu")(images[:1])[0]
    np.testing.assert_allclose(logits, expected, rtol=1e-4, atol=1e-5)
