import os

import numpy as np
import pytest

from clsbench.probing import feature_store
from clsbench.probing.feature_store import BackboneKey, FeatureStore, stored, try_to_save
from clsbench.run_record import RunModel
from clsbench.transform import ImageTransform


def key(**changed):
    facts = {"weights": "a", "transform": ImageTransform(size=(8, 8)), "device": "cpu", "versions": ("clsbench 1",)}
    return BackboneKey(model=RunModel(name="a", distribution="", version="", options={"width": 2}), **facts | changed)


@pytest.fixture
def store(tmp_path):
    return FeatureStore(key(), 3, tmp_path)


def digests(*numbers):
    return np.array([[n] * 16 for n in numbers], np.uint8)


def features(*numbers):
    return np.array([[n, n / 2, -n] for n in numbers], np.float32)


def only_file(store):
    (file,) = store.folder.iterdir()
    return file


def test_features_come_back_as_they_were_in_the_order_that_is_asked_for(store):
    store.save("plain", digests(1, 2, 3), features(1, 2, 3), 4.5)
    kept = store.load("plain", digests(1, 2, 3))
    np.testing.assert_array_equal(kept.values, features(1, 2, 3))
    assert (kept.found.all(), kept.seconds) == (True, 4.5)
    turned = store.load("plain", digests(3, 9, 1))
    assert turned.found.tolist() == [True, False, True]
    np.testing.assert_array_equal(turned.values[turned.found], features(3, 1))


def test_rows_of_several_files_serve_another_set_of_images(store):
    store.save("plain", digests(1, 2), features(1, 2), 0)
    store.save("plain", digests(3, 4), features(3, 4), 0)
    kept = store.load("plain", digests(4, 1, 5))
    assert kept.found.tolist() == [True, True, False]
    np.testing.assert_array_equal(kept.values[:2], features(4, 1))


def test_an_augmented_view_is_only_that_of_the_same_images(store):
    store.save("basic1-seed0", digests(1, 2), features(1, 2), 0)
    assert store.load("basic1-seed0", digests(1, 2)).found.all()
    for view, images in (("basic1-seed0", digests(2, 1)), ("basic2-seed0", digests(1, 2)), ("plain", digests(1, 2))):
        assert not store.load(view, images).found.any()


def test_another_fact_is_another_backbone(store, tmp_path):
    store.save("plain", digests(1), features(1), 0)
    other = FeatureStore(key(transform=ImageTransform(size=(9, 9))), 3, tmp_path)
    assert not other.load("plain", digests(1)).found.any()


def cut(content):
    return content[:-3]


def flipped(content):
    return content[:-1] + bytes([content[-1] ^ 1])


@pytest.mark.parametrize("harm", [cut, flipped, lambda content: b"", lambda content: b"\x80\x04pickle" * 9])
def test_a_damaged_file_is_not_used_and_is_removed(harm, store):
    store.save("plain", digests(1, 2), features(1, 2), 0)
    file = only_file(store)
    file.write_bytes(harm(file.read_bytes()))
    assert not store.load("plain", digests(1, 2)).found.any()
    assert str(file) in store.damaged[0]
    assert not file.exists()


def test_a_file_of_another_width_is_not_used(store, tmp_path):
    store.save("plain", digests(1), features(1), 0)
    wider = FeatureStore(key(), 4, tmp_path)
    assert not wider.load("plain", digests(1)).found.any()
    assert "expected float32 (1, 4)" in wider.damaged[0]


def test_what_was_not_used_for_longest_makes_room(store, tmp_path, monkeypatch):
    store.save("plain", digests(1), features(1), 0)
    size = only_file(store).stat().st_size
    other = FeatureStore(key(weights="b"), 3, tmp_path)
    other.save("plain", digests(2), features(2), 0)
    for age, (file, _) in enumerate(stored(tmp_path)):
        os.utime(file, ns=(age, age))
    store.load("plain", digests(1))  # uses the older one
    monkeypatch.setattr(feature_store, "LIMIT", int(2.5 * size))
    store.save("plain", digests(3), features(3), 0)
    assert store.load("plain", digests(1, 3)).found.all()
    assert not other.load("plain", digests(2)).found.any()


def test_a_folder_that_cannot_be_written_is_told(tmp_path):
    (tmp_path / "file").write_text("")
    store = FeatureStore(key(), 3, tmp_path / "file")
    assert "cannot be written" in try_to_save(store, "plain", digests(1), features(1), 0)
