"""Class names as numbers: a fixed list, or the names that occur."""

from __future__ import annotations

import difflib
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from clsbench.errors import DataError
from clsbench.text import some


class ClassIndex:
    """Turns columns of class names into indices.

    Args:
        known: The classes in their order; None to take those that occur.
    """

    def __init__(self, known: Sequence[str] | None) -> None:
        self._fixed = known is not None
        self._index = {name: k for k, name in enumerate(known or ())}

    def codes(self, column: Any, what: str, where: Path) -> NDArray[np.int32]:
        """Indices of a column's names.

        Args:
            column: An Arrow dictionary array of N names.
            what: The column's name, for messages.
            where: The file it is in, for messages.

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
        )

    def finished(self) -> tuple[tuple[str, ...], NDArray[np.int32]]:
        """The classes in their final order, and int32 (K + 1,): old index -> new index, with -1 for -1.

        A fixed order stays; the names that occurred are sorted.
        """
        names = list(self._index)
        final = names if self._fixed else sorted(names)
        position = {name: k for k, name in enumerate(final)}
        return tuple(final), np.array([*(position[name] for name in names), -1], np.int32)
