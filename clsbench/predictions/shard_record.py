"""ShardRecord: what a manifest says of one shard, so that shards can be joined and nothing is missed."""

from __future__ import annotations

import base64
import binascii
import zlib
from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from clsbench.errors import DataError
from clsbench.predictions.manifest import Json

#: Numbers that a record may hold: of more images, its text is refused.
MOST = 1 << 32


@dataclass(frozen=True, eq=False)
class ShardRecord:
    """Which rows of a whole job are in a file.

    Args:
        index: Of the shard, from 1.
        of: How many shards there are.
        total: How many images the whole job has.
        names: SHA-256 of their names, in order, in hex.
        rows: int64 (n,), ascending: the numbers of this shard's images in the whole, from 0.
    """

    index: int
    of: int
    total: int
    names: str
    rows: NDArray[np.int64]

    def to_json(self) -> dict[str, Json]:
        """Plain values; the rows as zlib in base64 of the differences between them, int32, little-endian."""
        steps = np.diff(self.rows, prepend=-1).astype("<i4")
        packed = base64.b64encode(zlib.compress(steps.tobytes())).decode()
        return {"index": self.index, "of": self.of, "total": self.total, "names": self.names, "rows": packed}

    @classmethod
    def from_json(cls, values: Mapping[str, Json], *, where: object) -> ShardRecord:
        """The inverse of :meth:`to_json`.

        Raises:
            DataError: if it is damaged.
        """
        index, of, total = (values.get(name) for name in ("index", "of", "total"))
        try:
            if not (isinstance(index, int) and isinstance(of, int) and isinstance(total, int) and 0 <= total < MOST):
                raise ValueError("its numbers")
            unpacked = zlib.decompressobj()
            data = unpacked.decompress(base64.b64decode(str(values.get("rows")), validate=True), 4 * total)
            if unpacked.unconsumed_tail or not unpacked.eof:
                raise ValueError("more rows than images")
            rows = np.cumsum(np.frombuffer(data, "<i4"), dtype=np.int64) - 1
            if len(rows) and (rows[0] < 0 or rows[-1] >= total or (np.diff(rows) < 1).any()):
                raise ValueError("rows out of order")
        except (ValueError, zlib.error, binascii.Error) as error:
            raise DataError("the record of a shard is damaged", where=where, got=error) from None
        return cls(index, of, total, str(values.get("names")), rows)
