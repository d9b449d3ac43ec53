import numpy as np
import pytest
from PIL import Image
from sklearn.datasets import load_sample_images

from clsbench.errors import OptionError
from clsbench.exporting.gate_images import choose_evenly, embedded_photos
from clsbench.images.entries import PixelsEntry
from clsbench.images.samples import sample_photos


def shades(count):
    return [PixelsEntry(f"{k}", np.full((2, 2, 3), k, np.uint8)) for k in range(count)]


@pytest.mark.parametrize(
    ("sources", "count", "chosen"),
    [
        (100, 5, [0, 25, 50, 74, 99]),
        (3, 64, [0, 1, 2]),
        (1, 64, [0]),
        (64, 64, list(range(64))),
        (9, 1, [0]),
        (0, 5, []),
    ],
)
def test_images_are_spread_evenly_over_the_sources(sources, count, chosen):
    found = choose_evenly(shades(sources), count=count)
    assert [int(entry.name) for entry in found.entries] == pytest.approx(chosen, abs=1)
    assert found.labels is None


def test_every_class_is_met_where_the_sources_are_sorted_by_class():
    found = choose_evenly(shades(250), [k // 25 for k in range(250)], count=64)
    assert set(found.labels.tolist()) == set(range(10))


def test_labels_are_those_of_the_images_taken():
    found = choose_evenly(shades(9), list(range(10, 19)), count=5)
    assert found.labels.tolist() == [10 + int(entry.name) for entry in found.entries] == [10, 12, 14, 16, 18]


def test_a_gate_without_images_is_refused():
    with pytest.raises(OptionError, match="needs images"):
        choose_evenly(shades(2), count=0)


def test_the_embedded_photos_are_many_different_and_always_the_same():
    photos, again = ([entry.pixels for entry in embedded_photos(count=12)] for _ in range(2))
    assert len({photo.tobytes() for photo in photos}) == 12
    for photo, other in zip(photos, again, strict=True):
        assert photo.dtype == np.uint8
        assert min(photo.shape[:2]) >= 200
        assert photo.std() > 5
        np.testing.assert_array_equal(photo, other)


def test_the_photos_are_those_of_scikit_learn():
    shipped = load_sample_images().images
    found = [np.asarray(Image.open(file)) for file in sorted(sample_photos().glob("*.jpg"))]
    assert all(np.array_equal(one, other) for one, other in zip(found, shipped, strict=True))
