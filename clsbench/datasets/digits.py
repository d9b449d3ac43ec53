"""The ``digits`` dataset: scikit-learn's 1,797 scanned digits, embedded, no download.

Source: E. Alpaydin, C. Kaynak, Optical Recognition of Handwritten Digits, UCI 1998.
"""

from __future__ import annotations

from pathlib import Path

import numpy as np

from clsbench.datasets.dataset import Dataset, Sample
from clsbench.datasets.splits import make_splits
from clsbench.errors import DataError

#: The part of each class set aside for the final test where nothing else is asked for.
TEST_FRACTION = 0.2


def build(
    root: Path | None = None,
    *,
    val_fraction: float | None = None,
    test_fraction: float | None = None,
    folds: int | None = None,
    fold: int | None = None,
    seed: int = 0,
) -> Dataset:
    """The digits 0 to 9 as uint8 (8, 8, 3), split into train, val and test.

    Args:
        root: Not used; must be None.
        val_fraction: The part of each class, test images apart, set aside for validation; None for 0.2.
        test_fraction: The part of each class set aside for the final test; None for 0.2.
        folds: Split train and val into this many folds instead.
        fold: The fold that is val, from 1.
        seed: Of the splits.

    Raises:
        DataError: if a folder is given.
        OptionError: if the split options contradict each other.
    """
    if root is not None:
        raise DataError("the digits are embedded and take no folder", got=root, hint="--dataset folder")
    from sklearn.datasets import load_digits

    digits = load_digits()
    pixels = np.round(digits.images * (255 / 16)).astype(np.uint8)  # as scanned: 0 to 16
    samples = [
        Sample(f"{i:04d}.png", np.repeat(image[:, :, None], 3, axis=2), int(label))
        for i, (image, label) in enumerate(zip(pixels, digits.target, strict=True))
    ]
    splits, notes = make_splits(
        {"train": samples},
        val_fraction=val_fraction,
        test_fraction=TEST_FRACTION if test_fraction is None else test_fraction,
        folds=folds,
        fold=fold,
        seed=seed,
        where="digits",
    )
    return Dataset(classes=tuple(str(digit) for digit in range(10)), splits=splits, notes=tuple(notes), mirrored=False)
