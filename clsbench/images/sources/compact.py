"""CompactEntries: a million entries as their names in one block of bytes, made into objects when they are asked for.

An entry object takes some 300 bytes, most of them for its texts; here it takes those of its name and 8 more.
"""

from __future__ import annotations

from array import array
from collections.abc import Callable, Iterable, Iterator, Sequence
from typing import overload

import numpy as np
from numpy.typing import NDArray

from clsbench.images.entries import Entry

#: Slices up to this length are lists; the pipeline takes a batch at a time, and looks at its entries several times.
_LISTED = 4096


class CompactNames(Sequence[str]):
    """N texts in one block of bytes; those that are not UTF-8 have surrogates, as in Python's own file names.

    Args:
        data: The texts one after another.
        starts, ends: int64 (N,), where each begins and ends in it.

    >>> CompactNames.of(["a.png", "b.png"])[1]
    'b.png'
    """

    def __init__(self, data: bytes | bytearray, starts: NDArray[np.int64], ends: NDArray[np.int64]) -> None:
        self._data, self._starts, self._ends = data, starts, ends

    @classmethod
    def of(cls, texts: Iterable[str]) -> CompactNames:
        """Those of some texts.

        Raises:
            UnicodeEncodeError: for a surrogate that stands for no byte, which no file's name has.
        """
        data, ends = bytearray(), array("q")
        for text in texts:
            data += text.encode("utf-8", "surrogateescape")
            ends.append(len(data))
        stops = np.frombuffer(ends, np.int64) if ends else np.zeros(0, np.int64)
        return cls(data, np.concatenate((np.zeros(min(1, len(stops)), np.int64), stops[:-1])), stops)

    def __len__(self) -> int:
        return len(self._ends)

    @overload
    def __getitem__(self, index: int) -> str: ...

    @overload
    def __getitem__(self, index: slice) -> CompactNames: ...

    def __getitem__(self, index: int | slice) -> str | CompactNames:
        if isinstance(index, slice):
            return CompactNames(self._data, self._starts[index], self._ends[index])
        return self._data[self._starts[index] : self._ends[index]].decode("utf-8", "surrogateescape")

    def __iter__(self) -> Iterator[str]:
        for start in range(0, len(self), _LISTED):
            part = slice(start, start + _LISTED)
            for begin, end in zip(self._starts[part].tolist(), self._ends[part].tolist(), strict=True):
                yield self._data[begin:end].decode("utf-8", "surrogateescape")

    def take(self, rows: NDArray[np.int64] | Sequence[int]) -> CompactNames:
        """The texts of some rows."""
        chosen = np.asarray(rows, np.int64)
        return CompactNames(self._data, self._starts[chosen], self._ends[chosen])

    def repeated(self) -> tuple[int, int] | None:
        """The first row whose text was there before, and the row where it was; None where all differ."""
        hashes = np.fromiter(map(hash, self), np.int64, len(self))
        order = np.argsort(hashes, kind="stable")
        same = np.flatnonzero(hashes[order][1:] == hashes[order][:-1])
        first: dict[str, int] = {}
        for row in sorted(
            {int(row) for k in same for row in order[k : k + 2]}
        ):  # equal hashes, and so most likely texts
            if (before := first.setdefault(self[row], row)) != row:
                return row, before
        return None


class CompactEntries(Sequence[Entry]):
    """N entries, made when they are asked for; a slice of many is one of these too.

    Args:
        names: Of the entries.
        make: Builds an entry from its name and its values in ``columns``; can be pickled.
        columns: int64 (N,) each, such as where an entry lies in an archive.

    >>> from clsbench.images.entries import BytesEntry
    >>> entries = CompactEntries(CompactNames.of(["a.png", "b.png"]), lambda name: BytesEntry(name, b""))
    >>> entries[1]
    BytesEntry(name='b.png', data=b'')
    """

    def __init__(
        self, names: CompactNames, make: Callable[..., Entry], columns: Sequence[NDArray[np.int64]] = ()
    ) -> None:
        self.names, self._make, self._columns = names, make, tuple(columns)

    def __len__(self) -> int:
        return len(self.names)

    @overload
    def __getitem__(self, index: int) -> Entry: ...

    @overload
    def __getitem__(self, index: slice) -> Sequence[Entry]: ...

    def __getitem__(self, index: int | slice) -> Entry | Sequence[Entry]:
        if isinstance(index, slice):
            part = CompactEntries(self.names[index], self._make, [column[index] for column in self._columns])
            return part if len(part) > _LISTED else list(part)
        return self._make(self.names[index], *(int(column[index]) for column in self._columns))

    def __iter__(self) -> Iterator[Entry]:
        if not self._columns:
            yield from map(self._make, self.names)
            return
        for start in range(0, len(self), _LISTED):
            part = slice(start, start + _LISTED)
            yield from map(self._make, self.names[part], *(column[part].tolist() for column in self._columns))

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Sequence) and len(self) == len(other) and all(map(_equal, self, other))

    __hash__ = None  # type: ignore[assignment]

    def __repr__(self) -> str:
        return f"<{len(self)} entries>"

    def take(self, rows: NDArray[np.int64] | Sequence[int]) -> CompactEntries:
        """The entries of some rows, in that order."""
        chosen = np.asarray(rows, np.int64)
        return CompactEntries(self.names.take(chosen), self._make, [column[chosen] for column in self._columns])


def _equal(one: object, other: object) -> bool:
    return one == other


def entry_names(entries: Sequence[Entry]) -> Sequence[str]:
    """The names of entries, without making the entries where that can be helped."""
    return entries.names if isinstance(entries, CompactEntries) else [entry.name for entry in entries]
