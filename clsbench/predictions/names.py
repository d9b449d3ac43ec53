"""Names of a million images in little memory."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any, overload

import numpy as np
from numpy.typing import NDArray


class Names(Sequence[str]):
    """N names as Arrow keeps them: their bytes and 8 more each, where a list of str takes some 100.

    Bytes that are no UTF-8 become surrogates, as in Python's own names of files.

    Args:
        column: Arrow large_binary array.

    >>> import pyarrow as pa
    >>> names = Names(pa.array([b"a.png", b"b.png", b"c.png"], pa.large_binary()))
    >>> names[1], list(names.take([2, 0]))
    ('b.png', ['c.png', 'a.png'])
    """

    def __init__(self, column: Any) -> None:
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
