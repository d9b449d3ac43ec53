"""ShardedSource: one part of a source, the same each time, whatever the other parts are and where they are read."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from clsbench.errors import OptionError
from clsbench.images.entries import Entry
from clsbench.images.sources.compact import CompactEntries, entry_names
from clsbench.images.sources.source import Source


@dataclass(frozen=True)
class Shard:
    """A part of so many.

    Args:
        index: From 1.
        of: How many parts there are.

    >>> str(Shard.parse("2/4"))
    '2/4'
    """

    index: int
    of: int

    @classmethod
    def parse(cls, text: str) -> Shard:
        """From ``I/N``.

        Raises:
            OptionError: if it is none.
        """
        index, slash, of = text.partition("/")
        if slash and index.isdecimal() and of.isdecimal() and 1 <= int(index) <= int(of):
            return cls(int(index), int(of))
        raise OptionError("not a part of a job", where="--shard", got=text, expected="I/N, such as 2/4: 1 to N")

    def __str__(self) -> str:
        return f"{self.index}/{self.of}"

    def rows(self, names: Sequence[str]) -> NDArray[np.int64]:
        """Which images are in it: int64, ascending. It depends on each name alone: none moves when others come."""
        hashes = (hashlib.blake2b(name.encode("utf-8", "surrogatepass"), digest_size=8).digest() for name in names)
        numbers = np.fromiter((int.from_bytes(one, "little") % self.of for one in hashes), np.int64, len(names))
        return np.flatnonzero(numbers == self.index - 1)


class ShardedSource:
    """The images of one shard; see :class:`clsbench.images.sources.source.Source`.

    Args:
        source: The whole.
        shard: The part.
    """

    def __init__(self, source: Source, shard: Shard) -> None:
        self.location, self.skipped = source.location, source.skipped
        self.folders, self.notes = getattr(source, "folders", ()), getattr(source, "notes", ())
        self.whole, self.shard = source, shard
        #: int64 (N,): the number of each image in the whole.
        self.rows = shard.rows(entry_names(source.entries))
        entries = source.entries
        self.entries: Sequence[Entry] = (
            entries.take(self.rows) if isinstance(entries, CompactEntries) else [entries[k] for k in self.rows.tolist()]
        )
