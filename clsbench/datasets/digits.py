"""The ``digits`` dataset: scikit-learn's 1,797 scanned digits, embedded, no download.

Source: E. Alpaydin, C. Kaynak, Optical Recognition of Handwritten Digits, UCI 1998.
"""

from __future__ import annotations

from pathlib import Path

import numpy as np

from clsbench.datasets.dataset import Dataset, Sample
from clsbench.errors import DataError
from clsbench.images.entries import PixelsEntry

#: The part of each class set aside for the final test where nothing else is asked for.
TEST_FRACTION = 0.2


def build(root: Path | None = None) -> Dataset:
    """The digits 0 to 9 as uint8 (8, 8, 3), all of them train.

    Args:
        root: Not used; must be None.

    Raises:
        DataError: if a folder is given.
    """
    if root is not None:
        raise DataError("the digits are embedded and take no folder", got=root, hint="--dataset folder")
    from sklearn.datasets import load_digits

    digits = load_digits()
    pixels = np.round(digits.images * (255 / 16)).astype(np.uint8)  # as scanned: 0 to 16
    samples = [
        Sample(PixelsEntry(f"{i:04d}.png", np.repeat(image[:, :, None], 3, axis=2)), int(label))
        for i, (image, label) in enumerate(zip(pixels, digits.target, strict=True))
    ]
    classes = tuple(str(digit) for digit in range(10))
    return Dataset(
        classes=classes, splits={"train": samples}, mirrored=False, root="digits", default_test_fraction=TEST_FRACTION
    )
