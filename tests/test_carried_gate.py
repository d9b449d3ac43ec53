"""The images that an int8 file carries: damage is told, an engine that answers otherwise is refused."""

import base64
import json
from types import SimpleNamespace

import numpy as np
import onnx
import pytest

from clsbench.carried_gate import AT_MOST, METADATA_KEY, agree, proof_name, read_carried, refusal
from clsbench.errors import ModelError
from clsbench.exporting.quantizing.carrying import as_jpeg, carry_count, dumps
from clsbench.inference.backend import Backend, DeviceInfo

CLASSES = ("red", "green", "blue")


class Told(Backend):
    """Answers with the rows of a table, one after the other."""

    device, streams, batch_size = DeviceInfo(device="cpu", provider="test"), 1, 2

    def __init__(self, rows):
        self.rows = list(np.asarray(rows, np.float32))

    def __call__(self, images):
        taken, self.rows = self.rows[: len(images)], self.rows[len(images) :]
        return np.stack(taken)

    def close(self):
        pass


def logits(*rows):
    return np.log(np.asarray(rows, np.float32))


def carrying(tmp_path, tiny_onnx, text):
    """The tiny model with a text under the key."""
    model = onnx.load(tiny_onnx)
    model.metadata_props.add(key=METADATA_KEY, value=text)
    file = tmp_path / "carrying.onnx"
    onnx.save(model, file)
    return file


@pytest.fixture
def said():
    return logits([0.9, 0.05, 0.05], [0.1, 0.8, 0.1], [0.36, 0.34, 0.3])


@pytest.fixture
def text(said):
    images = [as_jpeg(np.full((8, 8, 3), 40 * k, np.uint8)) for k in range(3)]
    return dumps(images, said, said + 1, "onnxruntime")


def test_what_is_carried_comes_back(tmp_path, tiny_onnx, text, said):
    file = carrying(tmp_path, tiny_onnx, text)
    found = read_carried(file)
    assert np.abs(found.pixels.reshape(3, -1).mean(axis=1) - [0, 40, 80]).max() < 2
    np.testing.assert_array_equal(found.parent, said)
    np.testing.assert_array_equal(found.said, said + 1)
    assert found.backend == "onnxruntime"


def test_a_file_without_any_carries_nothing(tiny_onnx):
    assert read_carried(tiny_onnx) is None


def changed(**fields):
    return lambda text: json.dumps({**json.loads(text), **fields})


def image(content):
    return base64.b64encode(content).decode()


HOSTILE = {
    "no JSON": lambda text: text[:-20],
    "a list": lambda text: "[1, 2]",
    "deep": lambda text: "[" * 100_000,
    "a newer schema": changed(schema=99),
    "no images": changed(images=[]),
    "too many images": changed(images=[""] * 65),
    "an image that is a number": changed(images=[1, 2, 3]),
    "damaged base64": changed(images=["%%%"] * 3),
    "no JPEG": changed(images=[image(b"GIF89a" + bytes(40))] * 3),
    "a truncated JPEG": changed(images=[image(as_jpeg(np.zeros((8, 8, 3), np.uint8))[:60])] * 3),
    "an image of another size": changed(images=[image(as_jpeg(np.zeros((8, 4, 3), np.uint8)))] * 3),
    "a huge image": changed(images=[image(as_jpeg(np.zeros((900, 900, 3), np.uint8)))] * 3),
    "fewer images than logits": lambda text: changed(images=json.loads(text)["images"][:2])(text),
    "short logits": changed(said=image(bytes(8))),
    "logits that are no numbers": changed(parent=image(np.full((3, 3), np.nan, "<f4").tobytes())),
    "logits as a list": changed(parent=[1.0, 2.0]),
    "far too long": lambda text: changed(backend="x" * (1 << 24))(text),
}


@pytest.mark.parametrize("how", HOSTILE)
def test_hostile_texts_are_told_as_such(how, tmp_path, tiny_onnx, text):
    file = carrying(tmp_path, tiny_onnx, HOSTILE[how](text))
    with pytest.raises(ModelError, match="carries") as caught:
        read_carried(file)
    assert caught.value.facts["where"] == file
    assert len(str(caught.value)) < 2000


def carried(said):
    return SimpleNamespace(pixels=np.zeros((len(said), 8, 8, 3), np.uint8), parent=said, said=said, classes=CLASSES)


def test_another_top1_of_a_clear_answer_is_refused_and_named(said, tmp_path):
    here = logits([0.05, 0.9, 0.05], [0.1, 0.8, 0.1], [0.36, 0.34, 0.3])
    found = agree(Told(here), carried(said))
    assert not found.passed
    assert [str(other) for other in found.others] == ["image 1: green, not red"]
    card = SimpleNamespace(precision="int8", proved_on=("onnxruntime",), made_for="onnxruntime")
    shown = str(refusal(found, tmp_path / "m.onnx", "openvino", card, hint="x"))
    assert "openvino does not answer as this int8 file was meant to" in shown
    assert "image 1: green, not red" in shown


def test_a_near_tie_is_named_and_goes_on(said):
    found = agree(Told(logits([0.9, 0.05, 0.05], [0.1, 0.8, 0.1], [0.34, 0.36, 0.3])), carried(said))
    assert found.passed
    assert [other.clear for other in found.others] == [False]
    assert "image 3: green, not red" in str(found)


@pytest.mark.parametrize(
    "here",
    [
        logits([0.7, 0.15, 0.15], [0.2, 0.6, 0.2], [0.5, 0.3, 0.2]),  # every probability moves, no answer does
        logits([0.9, 0.05, 0.05], [0.1, 0.8, 0.1], [0.36 + 1.1 * AT_MOST, 0.1, 0.1]),
        np.full((3, 3), np.nan),
    ],
)
def test_probabilities_that_move_too_far_are_refused(here, said):
    assert not agree(Told(here), carried(said)).passed


def test_a_device_other_than_the_cpu_is_another_place():
    assert proof_name("onnxruntime", DeviceInfo(device="cpu", provider="x")) == "onnxruntime"
    assert proof_name("onnxruntime", DeviceInfo(device="cuda", provider="x")) == "onnxruntime:cuda"


@pytest.mark.parametrize(
    ("classes", "side", "images"), [(2, 32, 16), (1000, 224, 16), (21_841, 224, 6), (10**6, 224, 4), (2, 1024, 8)]
)
def test_files_of_many_classes_or_large_images_carry_fewer(classes, side, images):
    assert carry_count(classes, side * side) == images
