"""What is in a predictions file's columns: names of images, classes and probabilities, and what they must be."""

from __future__ import annotations

import difflib
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, overload

import numpy as np
from numpy.typing import NDArray

from clsbench.errors import DataError
from clsbench.text import some

if TYPE_CHECKING:
    import pyarrow as pa

#: How far from 1 the probabilities of an image may sum up, and how far float32 brings them.
TOLERANCE, ROUNDING = 1e-3, 1e-5


class Names(Sequence[str]):
    """N names as Arrow keeps them: their bytes and 8 more each, where a list of str takes some 100.

    Bytes that are not UTF-8 become surrogates, as in Python's own file names.

    Args:
        column: Arrow large_binary array.

    >>> import pyarrow as pa
    >>> names = Names(pa.array([b"a.png", b"b.png", b"c.png"], pa.large_binary()))
    >>> names[1], list(names.take([2, 0]))
    ('b.png', ['c.png', 'a.png'])
    """

    def __init__(self, column: pa.LargeBinaryArray) -> None:
        self.column = column

    def __len__(self) -> int:
        return len(self.column)

    @overload
    def __getitem__(self, index: int) -> str: ...

    @overload
    def __getitem__(self, index: slice) -> Names: ...

    def __getitem__(self, index: int | slice) -> str | Names:
        if isinstance(index, slice):
            return Names(self.column[index])
        data: bytes = self.column[int(index)].as_py()
        return data.decode("utf-8", "surrogateescape")

    def __iter__(self) -> Iterator[str]:
        for start in range(0, len(self), 4096):
            for data in self.column[start : start + 4096].to_pylist():
                yield data.decode("utf-8", "surrogateescape")

    def take(self, rows: NDArray[np.int64] | Sequence[int]) -> Names:
        """The names of some rows."""
        return Names(self.column.take(np.asarray(rows, np.int64)))

    def may_repeat(self) -> bool:
        """Whether some names have the same hash, in a fifth of the time that Arrow takes to count them."""
        parts = (self.column[start : start + 65536].to_pylist() for start in range(0, len(self), 65536))
        hashes = np.sort(np.fromiter((hash(name) for part in parts for name in part), np.int64, len(self)))
        return bool((hashes[1:] == hashes[:-1]).any())


class ClassIndex:
    """Turns columns of class names into indices.

    Args:
        known: The classes in their order; None to take those that occur.
    """

    def __init__(self, known: Sequence[str] | None) -> None:
        self._fixed = known is not None
        self._index = {name: k for k, name in enumerate(known or ())}

    def codes(self, column: pa.DictionaryArray, what: str, where: Path) -> NDArray[np.int32]:
        """Indices of a column's names.

        Args:
            column: Arrow dictionary array of N names.
            what: Name of the column, for messages.
            where: File it is in, for messages.

        Returns:
            int32 (N,), -1 where there is no name.

        Raises:
            DataError: if a name is not among the fixed classes.
        """
        names = column.dictionary.to_pylist()
        table = np.array([*(self._code(name, what, where) for name in names), -1], np.int32)
        codes: NDArray[np.int32] = table[column.indices.fill_null(len(names)).to_numpy()]
        return codes

    def _code(self, name: str | None, what: str, where: Path) -> int:
        if not name:
            return -1
        if name not in self._index:
            if self._fixed:
                self._refuse(name, what, where)
            self._index[name] = len(self._index)
        return self._index[name]

    def _refuse(self, name: str, what: str, where: Path) -> None:
        near = difflib.get_close_matches(name, self._index, n=1)
        raise DataError(
            f"a {what} is not among the {len(self._index)} classes",
            where=where,
            got=repr(name),
            expected=some(list(self._index)),
            hint=f"did you mean '{near[0]}'?" if near else "predictions of different models cannot be mixed",
            code="CB-L001",
        )

    def finished(self) -> tuple[tuple[str, ...], NDArray[np.int32]]:
        """The classes in their final order, and int32 (K + 1,): old index -> new index, with -1 for -1.

        A fixed order stays; the names that occurred are sorted.
        """
        names = list(self._index)
        final = names if self._fixed else sorted(names)
        position = {name: k for k, name in enumerate(final)}
        return tuple(final), np.array([*(position[name] for name in names), -1], np.int32)


def check_unique(names: Names, file: Path) -> None:
    """Require different paths; ``file`` is for the message.

    Raises:
        DataError: if a path occurs twice.
    """
    import pyarrow.compute as pc

    if not names.may_repeat():
        return
    counts = names.column.value_counts()
    twice = Names(counts.filter(pc.greater(counts.field("counts"), 1)).field("values"))
    if not len(twice):
        return
    raise DataError(
        f"{len(twice)} paths occur more than once" if len(twice) > 1 else "a path occurs more than once",
        where=file,
        got=some(twice[:3], 3) + (", …" if len(twice) > 3 else ""),
        expected="one row for each image",
        hint="were the predictions of two runs put into one file?",
    )


def check_probabilities(block: NDArray[np.float32], failed: NDArray[np.bool_], names: Names, file: Path) -> None:
    """Require probabilities, and scale their sums to 1 where they were rounded.

    Args:
        block: float32 (K, n), changed in place.
        failed: bool (n,), which images were not classified; their values become NaN.
        names: The n images, for messages.
        file: The file, for messages.

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
        got = f"{missing} of {len(values)} are missing" if missing else f"sum {sums[row]:.6g}, min {values.min():.6g}"
        raise DataError(
            "the p: columns of an image are not probabilities",
            where=file,
            got=f"{got}, for {names[row]}",
            expected=f"numbers of at least 0 whose sum is 1, within {TOLERANCE}",
        )
    rounded = off > ROUNDING
    if rounded.any():
        block[:, rounded] /= sums[rounded].astype(np.float32)


def check_fractions(values: NDArray[np.float64], what: str, names: Names, file: Path) -> None:
    """Require numbers from 0 to 1.

    Args:
        values: float64 (n,), NaN where there is none.
        what: Name of the column, for messages.
        names: The n images, for messages.
        file: The file, for messages.

    Raises:
        DataError: for another number.
    """
    wrong = (values < 0) | (values > 1 + ROUNDING)
    if wrong.any():
        row = int(wrong.argmax())
        raise DataError(
            f"a {what} is not a probability",
            where=file,
            got=f"{values[row]:.6g} for {names[row]}",
            expected="numbers from 0 to 1",
        )
