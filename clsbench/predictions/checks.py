"""What the numbers and names of a predictions file have to be."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from clsbench.errors import DataError
from clsbench.text import some

#: How far from 1 the probabilities of an image may sum up, and how far float32 brings them.
TOLERANCE, ROUNDING = 1e-3, 1e-5


def text(name: Any) -> str:
    """An Arrow scalar of bytes as text."""
    data: bytes = name.as_py()
    return data.decode("utf-8", "surrogateescape")


def check_probabilities(block: NDArray[np.float32], failed: NDArray[np.bool_], names: Any, file: Path) -> None:
    """Require probabilities, and bring their sums to 1 where they were rounded.

    Args:
        block: float32 (K, n), changed in place.
        failed: bool (n,), which images were not classified; their values become NaN.
        names: Of the images, an Arrow array.
        file: For messages.

    Raises:
        DataError: for a missing or negative number, or a sum that is not 1.
    """
    block[:, failed] = np.nan
    sums = block.sum(axis=0, dtype=np.float64)
    off = np.abs(sums - 1)
    wrong = ~((off <= TOLERANCE) & (block.min(axis=0) >= 0)) & ~failed
    if wrong.any():
        row = int(wrong.argmax())
        values = block[:, row]
        missing = int(np.isnan(values).sum())
        got = f"{missing} of {len(values)} are missing" if missing else f"sum {sums[row]:.6g}, least {values.min():.6g}"
        raise DataError(
            "the p: columns of an image are no probabilities",
            where=file,
            got=f"{got}, for {text(names[row])}",
            expected=f"numbers of at least 0 whose sum is 1, within {TOLERANCE}",
        )
    rounded = off > ROUNDING
    if rounded.any():
        block[:, rounded] /= sums[rounded].astype(np.float32)


def check_fractions(values: NDArray[np.float64], what: str, names: Any, file: Path) -> None:
    """Require numbers from 0 to 1.

    Args:
        values: float64 (n,), NaN where there is none.
        what: The column's name.
        names: Of the images, an Arrow array.
        file: For messages.

    Raises:
        DataError: for another number.
    """
    wrong = (values < 0) | (values > 1 + ROUNDING)
    if wrong.any():
        row = int(wrong.argmax())
        raise DataError(
            f"a {what} is no probability",
            where=file,
            got=f"{values[row]:.6g} for {text(names[row])}",
            expected="numbers from 0 to 1",
        )


def may_repeat(names: Any) -> bool:
    """Whether some of the names have the same hash, in a fifth of the time that Arrow takes to count them.

    Args:
        names: An Arrow array.
    """
    parts = (names[start : start + 65536].to_pylist() for start in range(0, len(names), 65536))
    hashes = np.sort(np.fromiter((hash(name) for part in parts for name in part), np.int64, len(names)))
    return bool((hashes[1:] == hashes[:-1]).any())


def check_unique(names: Any, file: Path) -> None:
    """Require different paths.

    Args:
        names: Of the images, an Arrow array.
        file: For messages.

    Raises:
        DataError: if one stands twice.
    """
    import pyarrow.compute as pc

    if not may_repeat(names):
        return
    counts = names.value_counts()
    twice = counts.filter(pc.greater(counts.field("counts"), 1)).field("values")
    if not len(twice):
        return
    raise DataError(
        f"{len(twice)} paths stand more than once" if len(twice) > 1 else "a path stands more than once",
        where=file,
        got=some([text(name) for name in twice[:3]], 3) + (", …" if len(twice) > 3 else ""),
        expected="one row for each image",
        hint="were the predictions of two runs put into one file?",
    )
