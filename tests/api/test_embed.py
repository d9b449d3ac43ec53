"""``Model.embed``: features of one image or many, with the pixels of ``infer``."""

import numpy as np
import pytest
from PIL import Image

import clsbench
from clsbench import DataError, ModelError


@pytest.fixture
def model(featured_onnx):
    with clsbench.load(featured_onnx, device="cpu") as opened:
        yield opened


@pytest.fixture
def squares():
    """uint8 (5, 8, 8, 3): of the network's own size, so that their pixels are its input."""
    return np.random.default_rng(0).integers(0, 256, (5, 8, 8, 3), np.uint8)


def features(pixels):
    return np.concatenate([pixels.mean(axis=(-3, -2)), pixels.max(axis=(-3, -2))], axis=-1)


def test_one_image_gives_its_features(model, squares, tmp_path):
    Image.fromarray(squares[0]).save(tmp_path / "a.png")
    file = tmp_path / "a.png"
    for form in (file, str(file), file.read_bytes(), Image.open(file), squares[0]):
        found = model.embed(form)
        assert (found.dtype, found.shape) == (np.float32, (model.card.feature_dim,))
        np.testing.assert_allclose(found, features(squares[0].astype(float)), rtol=1e-6)


def test_many_come_in_order_and_an_unreadable_one_keeps_its_place(model, squares, tmp_path):
    for k, square in enumerate(squares):
        Image.fromarray(square).save(tmp_path / f"{k}.png")
    (tmp_path / "2.png").write_bytes(b"\x89PNG\r\n\x1a\n")
    expected = features(squares.astype(float))
    expected[2] = np.nan
    for many in (tmp_path, sorted(tmp_path.iterdir())):
        found = list(model.embed(many))
        assert all(isinstance(one, clsbench.Embedding) for one in found)
        assert [one.name.rpartition("/")[2] for one in found] == [f"{k}.png" for k in range(5)]
        assert [one.error is None for one in found] == [True, True, False, True, True]
        np.testing.assert_allclose(np.stack([one.features for one in found]), expected, rtol=1e-6)


def test_an_array_of_images_and_an_endless_iterable_are_streams(model, squares):
    found = np.stack([one.features for one in model.embed(squares)])
    np.testing.assert_allclose(found, features(squares.astype(float)), rtol=1e-6)
    endless = (squares[0] for _ in iter(int, 1))
    assert next(model.embed(endless)).name == "0"
    assert list(model.embed([])) == []


def test_what_has_no_features_is_told(model, tiny_onnx, tmp_path):
    (tmp_path / "torn.png").write_bytes(b"\x89PNG\r\n\x1a\n")
    with pytest.raises(DataError, match=r"torn\.png"):
        model.embed(tmp_path / "torn.png")
    with pytest.raises(DataError, match="not an image"):
        model.embed(1.5)
    with clsbench.load(tiny_onnx, device="cpu") as old, pytest.raises(ModelError, match="gives no features"):
        old.embed(tmp_path)
