from collections import Counter

import numpy as np
import pytest
from sklearn.datasets import load_digits

from clsbench.datasets.digits import build
from clsbench.datasets.splits import SplitSpec, split
from clsbench.errors import DataError
from clsbench.testing import check_dataset, installed


def test_it_is_a_dataset():
    check_dataset(installed("dataset", "digits"), None)


def test_every_digit_is_there_once_with_sklearns_pixels_and_label():
    dataset, digits = build(), load_digits()
    assert list(dataset.splits) == ["train"]
    samples = {sample.name: sample for sample in dataset.samples("train")}
    assert len(samples) == len(dataset.samples("train")) == len(digits.target)
    assert [s.label for _, s in sorted(samples.items())] == digits.target.tolist()
    pixels = np.stack([s.image.pixels for _, s in sorted(samples.items())])
    assert pixels.dtype == np.uint8
    assert (pixels == pixels[..., :1]).all()
    np.testing.assert_allclose(pixels[..., 0] / 255 * 16, digits.images, atol=16 / 255 / 2)


def test_a_mirrored_digit_is_no_digit():
    assert build().mirrored is False


def test_the_splits_follow_their_fractions_in_every_class():
    made = split(build(), SplitSpec()).splits
    counts = {name: Counter(s.label for s in samples) for name, samples in made.items()}
    for digit, count in Counter(load_digits().target.tolist()).items():
        assert counts["test"][digit] == pytest.approx(0.2 * count, abs=1)
        assert counts["val"][digit] == pytest.approx(0.8 * 0.2 * count, abs=1)


def test_folds_leave_the_test_split_as_it_is():
    tests = [
        [s.name for s in split(build(), spec).samples("test")] for spec in (SplitSpec(), SplitSpec(folds=4, fold=1))
    ]
    assert tests[0] == tests[1]


def test_a_folder_is_refused(tmp_path):
    with pytest.raises(DataError, match="take no folder"):
        build(tmp_path)
