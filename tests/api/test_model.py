"""``clsbench.load``: one image or many, by whatever names or holds them, with the pixels of ``infer``."""

import io
from concurrent.futures import ThreadPoolExecutor
from itertools import count

import numpy as np
import pytest
from PIL import Image

import clsbench
from clsbench import DataError
from clsbench.machine import available_cores


@pytest.fixture
def model(tiny_onnx):
    with clsbench.load(tiny_onnx, device="cpu") as opened:
        yield opened


@pytest.fixture
def red(tmp_path):
    file = tmp_path / "red.png"
    noise = np.random.default_rng(1).integers(0, 40, (12, 20, 3), dtype=np.uint8)
    Image.fromarray(noise + np.array([180, 0, 0], np.uint8)).save(file)
    return file


def test_it_knows_its_classes_and_preprocessing(model):
    assert model.classes == ("red", "green", "blue")
    assert model.transform == model.card.transform
    assert "cpu" in repr(model)


def test_a_path_bytes_an_image_and_its_pixels_give_the_same(model, red):
    image = Image.open(red)
    forms = [red, str(red), red.read_bytes(), image, np.asarray(image)]
    found = [model.predict(form) for form in forms]
    assert {p.label for p in found} == {"red"}
    for prediction in found[1:]:
        np.testing.assert_array_equal(prediction.probabilities, found[0].probabilities)


@pytest.mark.parametrize("mode", ["I;16", "RGBA", "LA", "P", "CMYK", "L", "1"])
def test_an_image_of_pillow_is_read_like_its_file(model, mode, tmp_path):
    noise = np.random.default_rng(1).integers(0, 256, (12, 20, 3), dtype=np.uint8)
    deep = mode == "I;16"
    image = Image.fromarray(noise[:, :, 0].astype(np.uint16) * 200) if deep else Image.fromarray(noise).convert(mode)
    image.save(tmp_path / "a.tif")
    want = model.predict(tmp_path / "a.tif").probabilities
    for given in (image, Image.open(tmp_path / "a.tif")):
        np.testing.assert_array_equal(model.predict(given).probabilities, want)


def test_an_image_of_pillow_without_a_range_is_refused(model):
    with pytest.raises(DataError, match="floating-point"):
        model.predict(Image.fromarray(np.zeros((4, 4), np.float32)))


def test_probabilities_are_the_softmax_of_the_network_and_topk_their_order(model):
    random = np.random.default_rng(2).integers(100, 104, (12, 20, 3))
    image = Image.fromarray((random + np.array([2, 0, 1])).astype(np.uint8))
    found = model.predict(image, topk=2)
    # The shorter side becomes 8 pixels and the longer one 13, of which the middle 8 are kept.
    box = (2 * 20 / 13, 0, 10 * 20 / 13, 12)
    logits = np.asarray(image.resize((8, 8), Image.Resampling.BILINEAR, box), float).reshape(-1, 3).mean(axis=0)
    want = np.exp(logits - logits.max()) / np.exp(logits - logits.max()).sum()
    np.testing.assert_allclose(found.probabilities, want, atol=0.03)
    assert found.probabilities.sum() == pytest.approx(1, abs=1e-5)
    assert [name for name, _ in found.topk] == [model.classes[k] for k in np.argsort(-want)[:2]]
    assert found.topk[0] == (found.label, found.confidence)


def test_a_folder_gives_what_infer_gives_in_its_order(model, photos, tiny_onnx):
    rows = clsbench.infer(photos / "val", model=tiny_onnx, device="cpu", topk=1).to_arrow().to_pylist()
    found = list(model.predict(photos / "val"))
    assert [p.name for p in found] == [row["path"] for row in rows]
    assert [p.label for p in found] == [row["predicted"] for row in rows]
    assert [round(p.confidence, 6) for p in found] == pytest.approx([row["confidence"] for row in rows], abs=1e-6)


def test_many_images_of_all_kinds_are_a_stream_in_order(model, red):
    image = Image.open(red).convert("RGB")
    blue = np.zeros((9, 9, 3), np.uint8)
    blue[..., 2] = 200
    found = list(model.predict([red, image, blue, red.read_bytes()]))
    assert [p.label for p in found] == ["red", "red", "blue", "red"]
    assert [p.name for p in found] == [str(red), "1", "2", "3"]
    assert [p.label for p in model.predict(np.stack([blue, blue]))] == ["blue", "blue"]


def test_an_endless_stream_is_read_only_as_far_as_needed(model):
    green = np.zeros((4, 4, 3), np.uint8)
    green[..., 1] = 99
    stream = model.predict(green for _ in count())
    assert [next(stream).label for _ in range(3)] == ["green"] * 3
    stream.close()


def test_what_cannot_be_read_is_a_prediction_with_a_reason(model, red, tmp_path):
    broken = tmp_path / "broken.png"
    broken.write_bytes(red.read_bytes()[:40])
    for bad in (broken, b"no image", tmp_path / "absent.jpg", b""):
        found = model.predict(bad)
        assert (found.label, found.topk) == (None, ())
        assert found.error
        assert np.isnan(found.probabilities).all()
        assert found.to_json()["confidence"] is None
    assert [p.label for p in model.predict([red, broken, red])] == ["red", None, "red"]


@pytest.mark.parametrize(
    "bad", [np.zeros((4, 4, 3)), np.zeros((4, 4), np.uint8), np.zeros((4, 4, 4), np.uint8), 3, None]
)
def test_what_is_no_image_at_all_is_refused(model, bad):
    with pytest.raises(clsbench.DataError, match=r"pixels must be|not an image"):
        model.predict(bad)


def test_everything_that_was_opened_is_closed(tiny_onnx, red, monkeypatch):
    closed = []
    close = "clsbench.inference.onnxruntime_backend.OnnxRuntimeBackend.close"
    monkeypatch.setattr(close, lambda backend: closed.append(backend))
    with clsbench.load(tiny_onnx, device="cpu") as model:
        assert [model.predict(red).label, *(p.label for p in model.predict([red]))] == ["red", "red"]
    assert len({id(backend) for backend in closed}) == len(closed) == (2 if available_cores() > 1 else 1)


def test_several_threads_share_a_model(model, red):
    blue = np.zeros((9, 9, 3), np.uint8)
    blue[..., 2] = 200
    with ThreadPoolExecutor(8) as pool:
        found = list(pool.map(lambda k: model.predict(red if k % 2 else blue).label, range(200)))
    assert found == ["blue", "red"] * 100


def test_an_image_of_pillow_is_turned_as_its_file_would_be(model, red):
    image = Image.open(red)
    exif = Image.Exif()
    exif[0x0112] = 6
    stream = io.BytesIO()
    image.save(stream, "JPEG", exif=exif.tobytes(), quality=95)
    by_bytes, by_image = model.predict(stream.getvalue()), model.predict(Image.open(stream))
    np.testing.assert_allclose(by_bytes.probabilities, by_image.probabilities, atol=1e-6)


def test_unknown_names_are_refused_before_anything_is_opened(tiny_onnx):
    with pytest.raises(clsbench.OptionError, match="unknown backend"):
        clsbench.load(tiny_onnx, backend="nothing")
    with pytest.raises(clsbench.ModelError):
        clsbench.load("absent.onnx")
