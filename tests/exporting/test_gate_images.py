import numpy as np
import pytest

from clsbench.errors import DataError
from clsbench.exporting.gate_images import embedded_photos, load_evenly
from clsbench.images.entries import BytesEntry, PixelsEntry
from clsbench.images.loader import ImageLoader
from clsbench.transform import ImageTransform

LOADER = ImageLoader(ImageTransform(size=(2, 2)))


def shades(count):
    return [PixelsEntry(f"{k}", np.full((2, 2, 3), k, np.uint8)) for k in range(count)]


@pytest.mark.parametrize(
    ("sources", "count", "chosen"),
    [(100, 5, [0, 25, 50, 74, 99]), (3, 64, [0, 1, 2]), (1, 64, [0]), (64, 64, list(range(64))), (9, 1, [0])],
)
def test_pictures_are_spread_evenly_over_the_sources(sources, count, chosen):
    images = load_evenly(LOADER, shades(sources), count=count).images
    assert images.shape == (len(chosen), 2, 2, 3)
    assert images[:, 0, 0, 0].tolist() == pytest.approx(chosen, abs=1)


def test_every_class_is_met_where_the_sources_are_sorted_by_class():
    entries = [PixelsEntry(f"{k}", np.full((2, 2, 3), k // 100, np.uint8)) for k in range(1000)]
    images = load_evenly(LOADER, entries).images
    assert set(images[:, 0, 0, 0].tolist()) == set(range(10))


def test_unreadable_pictures_are_passed_over():
    one, two = shades(2)
    assert load_evenly(LOADER, [one, BytesEntry("bad", b"text"), two]).images[:, 0, 0, 0].tolist() == [0, 1]


@pytest.mark.parametrize(
    ("sources", "reason"), [([], "no images"), ([BytesEntry("a", b"text"), BytesEntry("b", b"")], "empty|known format")]
)
def test_no_readable_picture_is_an_error_with_the_reason(sources, reason):
    with pytest.raises(DataError, match=reason):
        load_evenly(LOADER, sources)


def test_the_embedded_photos_are_many_different_and_always_the_same():
    photos, again = ([entry.pixels for entry in embedded_photos(count=12)] for _ in range(2))
    assert len({photo.tobytes() for photo in photos}) == 12
    for photo, other in zip(photos, again, strict=True):
        assert photo.dtype == np.uint8
        assert min(photo.shape[:2]) >= 200
        assert photo.std() > 5
        np.testing.assert_array_equal(photo, other)


def test_labels_are_those_of_the_images_taken():
    sources = shades(9)
    sources[4] = b"text"
    loaded = load_evenly(LOADER, sources, list(range(10, 19)), count=5)
    assert loaded.labels.tolist() == [10, 12, 16, 18]
    assert loaded.images[:, 0, 0, 0].tolist() == [0, 2, 6, 8]
    assert load_evenly(LOADER, shades(3)).labels is None
