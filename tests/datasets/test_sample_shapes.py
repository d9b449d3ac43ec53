import numpy as np

from clsbench.datasets.dataset import Dataset, Sample
from clsbench.datasets.sample_shapes import Extent, sample_shapes
from clsbench.images.entries import BytesEntry, PixelsEntry


def dataset(shapes, **more):
    samples = [Sample(PixelsEntry(f"{k}", np.zeros((h, w, 3), np.uint8)), k % 2) for k, (h, w) in enumerate(shapes)]
    return Dataset(classes=("a", "b"), splits={"train": samples, **more})


def test_sizes_are_the_smallest_the_median_and_the_largest():
    found = sample_shapes(dataset([(10, 40), (20, 30), (30, 20), (40, 15)]))
    assert found.width == Extent(min=15, median=25, max=40)
    assert found.height == Extent(min=10, median=25, max=40)
    assert (found.total, found.looked_at, found.unreadable) == (4, 4, 0)
    assert (found.modes, found.formats) == ({"RGB": 4}, {"pixels": 4})


def test_few_images_stand_for_many_and_come_from_every_split():
    test = [Sample(PixelsEntry(f"t{k}", np.zeros((99, 99, 3), np.uint8)), 0) for k in range(1000)]
    found = sample_shapes(dataset([(10, 10)] * 1000, test=test), count=100)
    assert (found.total, found.looked_at) == (2000, 100)
    assert found.width == Extent(min=10, median=54.5, max=99)


def test_unreadable_images_are_counted():
    found = sample_shapes(dataset([(10, 10)], test=[Sample(BytesEntry("bad", b"no image"), 0)]))
    assert (found.unreadable, found.width) == (1, Extent(min=10, median=10, max=10))
    only_bad = Dataset(classes=("a", "b"), splits={"train": [Sample(BytesEntry("bad", b"no image"), 0)]})
    assert sample_shapes(only_bad).width is None
