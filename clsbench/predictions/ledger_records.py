"""Records of a ledger: Arrow batches of consecutive images, and how they are checked."""

from __future__ import annotations

import zlib
from collections.abc import Sequence
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from clsbench.predictions.block import Predictions

if TYPE_CHECKING:
    import pyarrow as pa


def make_record(blocks: Sequence[Predictions], stamps: NDArray[np.int64], schema: pa.Schema) -> pa.RecordBatch:
    """One record of several blocks.

    Args:
        blocks: Of n images together.
        stamps: int64 (n, 2), their sizes and modification times.
        schema: From :func:`record_schema`.
    """
    import pyarrow as pa

    names = [name for block in blocks for name in block.names]
    logits = np.concatenate([block.logits for block in blocks])
    arrays = [
        pa.array([encoded(name) for name in names], pa.binary()),
        pa.FixedSizeListArray.from_arrays(pa.array(logits.ravel(), pa.float32()), logits.shape[1]),
        _binary([error for block in blocks for error in block.errors]),
        _binary([reason for block in blocks for reason in block.reasons]),
        pa.array(stamps[:, 0]),
        pa.array(stamps[:, 1]),
    ]
    if parts := [block.features for block in blocks if block.features is not None]:
        features = np.concatenate(parts)
        arrays.append(pa.FixedSizeListArray.from_arrays(pa.array(features.ravel(), pa.float32()), features.shape[1]))
    return pa.record_batch(arrays, schema=schema)


def next_record(reader: pa.RecordBatchStreamReader) -> tuple[pa.RecordBatch, dict[bytes, bytes]] | None:
    """The next record and its metadata; None at the end of the stream."""
    try:
        found = reader.read_next_batch_with_custom_metadata()
    except StopIteration:
        return None
    return found.batch, dict(found.custom_metadata or {})


def record_schema(classes: int, feature_dim: int | None = None) -> pa.Schema:
    """The columns of a record, for so many classes and features."""
    import pyarrow as pa

    kinds = {
        "name": pa.binary(), "logits": pa.list_(pa.float32(), classes), "error": pa.binary(), "reason": pa.binary(),
        "size": pa.int64(), "modified": pa.int64(),
    }  # fmt: skip
    if feature_dim:
        kinds["features"] = pa.list_(pa.float32(), feature_dim)
    return pa.schema(list(kinds.items()))


def checksum(batch: pa.RecordBatch) -> int:
    """CRC-32 of everything in a record."""
    found = zlib.crc32(str([(batch.num_rows, column.null_count) for column in batch.columns]).encode())
    for column in batch.columns:
        parts = [column, *([column.flatten()] if column.type.num_fields else [])]
        for buffer in [buffer for part in parts for buffer in part.buffers() if buffer is not None]:
            found = zlib.crc32(buffer, found)
    return found


def stamp_change(then: NDArray[np.int64], now: NDArray[np.int64]) -> str:
    """What happened to a file, in words, by its two stamps."""
    if then[0] < 0:
        return "was missing"
    return "is missing" if now[0] < 0 else "has another size" if then[0] != now[0] else "has another modification time"


def encoded(text: str) -> bytes:
    """A text as bytes, also one with half surrogate pairs."""
    return text.encode("utf-8", "surrogatepass")


def decoded(data: bytes) -> str:
    """The inverse of :func:`encoded`."""
    return data.decode("utf-8", "surrogatepass")


def _binary(texts: Sequence[str | None]) -> pa.Array:
    import pyarrow as pa

    return pa.array([None if text is None else encoded(text) for text in texts], pa.binary())


def texts(column: pa.Array) -> list[str | None]:
    """A column of bytes as texts."""
    return [None if data is None else decoded(data) for data in column.to_pylist()]
