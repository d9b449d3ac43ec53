"""The ``digits`` dataset: scikit-learn's 1,797 scanned digits, embedded, no download.

Source: E. Alpaydin, C. Kaynak, Optical Recognition of Handwritten Digits, UCI 1998.
"""

from __future__ import annotations

from pathlib import Path

import numpy as np

from clsbench.datasets.dataset import Dataset, Sample
from clsbench.datasets.splits import stratified_split
from clsbench.errors import DataError


def build(root: Path | None = None, *, val_fraction: float = 0.2, test_fraction: float = 0.2, seed: int = 0) -> Dataset:
    """The digits 0 to 9 as uint8 (8, 8, 3), split into train, val and test.

    Args:
        root: Not used; must be None.
        val_fraction: The part of each class, test images apart, set aside for validation.
        test_fraction: The part of each class set aside for the final test.
        seed: Of both splits.

    Raises:
        DataError: if a folder is given.
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
    rest, test = stratified_split(samples, test_fraction, seed=seed)
    train, val = stratified_split(rest, val_fraction, seed=seed)
    return Dataset(
        classes=tuple(str(digit) for digit in range(10)),
        splits={"train": train, "val": val, "test": test},
        mirrored=False,
    )
