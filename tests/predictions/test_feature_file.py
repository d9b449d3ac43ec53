"""Features beside a predictions file: numpy's own reader is the reference."""

import numpy as np
import pytest

from clsbench.errors import DataError
from clsbench.predictions.block import Predictions
from clsbench.predictions.feature_file import FeatureWriter, features_path, open_features

FEATURES = np.random.default_rng(0).normal(size=(7, 3)).astype(np.float32)
FEATURES[2] = np.nan


def block(rows):
    values = FEATURES[rows]
    return Predictions(
        [""] * len(values), np.zeros((len(values), 2), np.float32), [None] * len(values), features=values
    )


def write(file, stop=7):
    with FeatureWriter(file, 7, 3) as writer:
        for start in range(0, stop, 3):
            writer.write(block(slice(start, start + 3)))


def test_numpy_reads_what_is_written(tmp_path):
    write(tmp_path / "f.npy")
    found = np.load(tmp_path / "f.npy", allow_pickle=False)
    np.testing.assert_array_equal(found, FEATURES)
    assert found.dtype == np.float32
    np.save(tmp_path / "numpy.npy", FEATURES)
    assert (tmp_path / "f.npy").read_bytes() == (tmp_path / "numpy.npy").read_bytes()
    np.testing.assert_array_equal(open_features(tmp_path / "f.npy", (7, 3)), FEATURES)


def test_a_job_of_no_images_has_no_rows(tmp_path):
    with FeatureWriter(tmp_path / "f.npy", 0, 3):
        pass
    assert open_features(tmp_path / "f.npy", (0, 3)).shape == (0, 3)


def test_what_is_not_finished_leaves_what_was_there(tmp_path):
    (tmp_path / "f.npy").write_bytes(b"earlier")

    def interrupted():
        with FeatureWriter(tmp_path / "f.npy", 7, 3) as writer:
            writer.write(block(slice(3)))
            raise InterruptedError

    with pytest.raises(InterruptedError):
        interrupted()
    with pytest.raises(AssertionError):
        write(tmp_path / "f.npy", stop=5)
    assert [path.name for path in tmp_path.iterdir()] == ["f.npy"]
    assert (tmp_path / "f.npy").read_bytes() == b"earlier"


def test_a_place_that_cannot_be_written_is_named(tmp_path):
    (tmp_path / "taken").touch()
    with pytest.raises(DataError, match="the features cannot be written"):
        write(tmp_path / "taken" / "f.npy")


@pytest.mark.parametrize("content", [b"", b"\x93NUMPY", b"path,label\n", "cut", "object", "float64", "other"])
def test_something_else_under_that_name_is_refused(tmp_path, content):
    file = features_path(tmp_path / "preds.csv")
    assert file.name == "preds.csv.features.npy"
    write(file)
    whole = file.read_bytes()
    arrays = {"object": np.array([{}]), "float64": FEATURES.astype(float), "other": FEATURES[:6]}
    if isinstance(content, bytes):
        file.write_bytes(content)
    elif content == "cut":
        file.write_bytes(whole[:-1])
    else:
        np.save(file, arrays[content], allow_pickle=True)
    with pytest.raises(DataError, match="features"):
        open_features(file, (7, 3))
