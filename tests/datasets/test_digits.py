from collections import Counter

import numpy as np
import pytest
from sklearn.datasets import load_digits

from clsbench.datasets.digits import build
from clsbench.errors import DataError
from clsbench.testing import check_dataset, installed


@pytest.mark.parametrize("options", [{}, {"folds": 5, "fold": 2}, {"val_fraction": 0.5, "seed": 3}])
def test_it_is_a_dataset(options):
    check_dataset(installed("dataset", "digits"), None, **options)


def test_every_digit_is_there_once_with_sklearns_pixels_and_label():
    dataset, digits = build(), load_digits()
    samples = {sample.name: sample for split in dataset.splits.values() for sample in split}
    assert len(samples) == sum(map(len, dataset.splits.values())) == len(digits.target)
    assert [s.label for _, s in sorted(samples.items())] == digits.target.tolist()
    pixels = np.stack([s.image for _, s in sorted(samples.items())])
    assert pixels.dtype == np.uint8
    assert (pixels == pixels[..., :1]).all()
    np.testing.assert_allclose(pixels[..., 0] / 255 * 16, digits.images, atol=16 / 255 / 2)


def test_a_mirrored_digit_is_no_digit():
    assert build().mirrored is False


def test_the_splits_follow_their_fractions_in_every_class():
    counts = {split: Counter(s.label for s in samples) for split, samples in build().splits.items()}
    for digit, count in Counter(load_digits().target.tolist()).items():
        assert counts["test"][digit] == pytest.approx(0.2 * count, abs=1)
        assert counts["val"][digit] == pytest.approx(0.8 * 0.2 * count, abs=1)


def test_folds_leave_the_test_split_as_it_is():
    tests = [[s.name for s in build(**options).samples("test")] for options in ({}, {"folds": 4, "fold": 1})]
    assert tests[0] == tests[1]


def test_a_folder_is_refused(tmp_path):
    with pytest.raises(DataError, match="take no folder"):
        build(tmp_path)
