"""The ledger of a job that is under way: its blocks on disk, so that a killed job can be continued.

It lies beside the predictions file, as ``preds.csv.ledger``, until that file is complete. The format is Arrow's IPC
stream, one for each time the job ran, one after another. A record batch has the logits of consecutive images, why
some were not classified, and the size and modification time of each file when it was read; its metadata say which
image it begins with, and have a checksum, so that a record that a crash cut off or spoiled is seen, and done again.
Labels, columns and the format of the predictions are not in it: they may differ when the job is continued.
"""

from __future__ import annotations

import os
import time
import zlib
from collections.abc import Iterator, Sequence
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING, BinaryIO

import numpy as np

from clsbench.errors import ClsbenchError, DataError
from clsbench.images.entries import Entry, Stamp, stamp_of
from clsbench.output_files import unwritable
from clsbench.predictions.block import Predictions
from clsbench.predictions.job import JobIdentity

if TYPE_CHECKING:
    import pyarrow as pa

#: Seconds between two records, and bytes of logits at which one is written before that.
INTERVAL, LARGEST = 1.0, 1 << 24

#: Of the stream's schema: the job. Of a record: the number of its first image, and the checksum of its columns.
_JOB, _START, _CHECKSUM = b"clsbench.job", b"start", b"crc32"

#: How a stream ends: a continuation marker, and a message of no bytes.
_END = b"\xff\xff\xff\xff\x00\x00\x00\x00"

WHAT = "the record of the unfinished job"


def ledger_path(predictions: Path) -> Path:
    """Where the ledger of a predictions file is: ``preds.csv.ledger``."""
    return predictions.with_name(predictions.name + ".ledger")


class Ledger:
    """Blocks of one job, read from a file and appended to it; a context manager, which writes the rest at the end.

    Args:
        file: Its path; see :func:`ledger_path`.
        entries: Of the whole job, in its order.
        classes: K, the number of logits.
        temperature: Of the card.

    Raises:
        DataError: if the file cannot be read.
    """

    def __init__(self, file: Path, entries: Sequence[Entry], *, classes: int, temperature: float | None = None) -> None:
        self.file, self._entries = file, entries
        self._classes, self._temperature = classes, temperature or 1.0
        #: The job whose blocks these are; None while there are none.
        self.job: JobIdentity | None = None
        self._end = 0
        for start, batch in self._records():
            self.rows = start + batch.num_rows
        self._stream: BinaryIO | None = None
        self._waiting: list[Predictions] = []
        self._written = time.monotonic()

    #: How many images are done.
    rows = 0

    def __enter__(self) -> Ledger:
        return self

    def __exit__(self, kind: type[BaseException] | None, *_: object) -> None:
        try:
            self._commit()
        except DataError:
            if kind is None:
                raise
        finally:
            if self._stream is not None:
                with suppress(OSError):  # a full disk, which has been told
                    self._stream.close()

    def blocks(self) -> Iterator[Predictions]:
        """What was done before, in input order, without labels."""
        for start, batch in self._records():
            names = [entry.name for entry in self._entries[start : start + batch.num_rows]]
            logits = batch.column("logits").flatten().to_numpy().reshape(-1, self._classes).copy()
            yield Predictions(
                names, logits, _texts(batch.column("error")), temperature=self._temperature,
                reasons=_texts(batch.column("reason")),
            )  # fmt: skip

    def changes(self) -> list[str]:
        """Images that are done and are not what they were when they were read, with a word on each; at most five."""
        found: list[str] = []
        for start, batch in self._records():
            entries = self._entries[start : start + batch.num_rows]
            names, sizes, times = (batch.column(name).to_pylist() for name in ("name", "size", "modified"))
            for name, entry, size, modified in zip(names, entries, sizes, times, strict=False):
                if _encoded(entry.name) != name:
                    return [*found, f"{entry.name} is where {_decoded(name)} was"]
                if word := _change(None if size is None else (size, modified), stamp_of(entry)):
                    found.append(f"{entry.name} {word}")
                if len(found) == 5:
                    return found
        return found

    def begin(self, job: JobIdentity) -> None:
        """Make the file ready for more blocks; what a crash left of the last record is cut off.

        Args:
            job: The one that is to be continued when the file is read again.

        Raises:
            DataError: if it cannot be written.
        """
        import pyarrow as pa

        try:
            self.file.parent.mkdir(parents=True, exist_ok=True)
            descriptor = os.open(self.file, os.O_RDWR | os.O_CREAT | getattr(os, "O_NOFOLLOW", 0), 0o666)
            self._stream = os.fdopen(descriptor, "r+b")
            self._stream.truncate(self._end)
            self._stream.seek(self._end)
            self._stream.write(_END if self._end else b"")
            self._writer = pa.ipc.new_stream(self._stream, _schema(self._classes).with_metadata({_JOB: job.to_text()}))
        except OSError as error:
            raise unwritable(self.file, WHAT, error) from None
        self.job = job

    def append(self, block: Predictions) -> None:
        """Take the next block; now and then what was taken is written, and is on the disk when this returns.

        Raises:
            DataError: if the file cannot be written, for example because the disk is full.
        """
        self._waiting.append(block)
        size = self._classes * 4 * sum(len(one.names) for one in self._waiting)
        if size > LARGEST or time.monotonic() - self._written > INTERVAL:
            self._commit()

    def remove(self) -> None:
        """Let go of the file: the predictions are complete."""
        with suppress(FileNotFoundError):
            self.file.unlink()

    def _commit(self) -> None:
        if not self._waiting:
            return
        assert self._stream is not None
        batch = self._record(self._waiting)
        self._waiting = []
        try:
            metadata = {_START: str(self.rows), _CHECKSUM: str(_checksum(batch))}
            self._writer.write_batch(batch, custom_metadata=metadata)
            self._stream.flush()
            os.fsync(self._stream.fileno())
        except OSError as error:  # what there is of this record is cut off when the job is continued
            raise unwritable(self.file, WHAT, error) from None
        self.rows += batch.num_rows
        self._written = time.monotonic()

    def _record(self, blocks: Sequence[Predictions]) -> pa.RecordBatch:
        import pyarrow as pa

        names = [name for block in blocks for name in block.names]
        stamps = [stamp_of(entry) or (None, None) for entry in self._entries[self.rows : self.rows + len(names)]]
        logits = np.concatenate([block.logits for block in blocks])
        arrays = [
            pa.array([_encoded(name) for name in names], pa.binary()),
            pa.FixedSizeListArray.from_arrays(pa.array(logits.ravel(), pa.float32()), self._classes),
            _binary([error for block in blocks for error in block.errors]),
            _binary([reason for block in blocks for reason in block.reasons]),
            pa.array([size for size, _ in stamps], pa.int64()),
            pa.array([modified for _, modified in stamps], pa.int64()),
        ]
        return pa.record_batch(arrays, schema=_schema(self._classes))

    def _records(self) -> Iterator[tuple[int, pa.RecordBatch]]:
        """The whole records, each with the number of its first image, up to one that is torn."""
        import pyarrow as pa

        if not os.path.lexists(self.file):
            return
        done, torn = 0, (pa.ArrowException, EOFError, KeyError, ValueError, ClsbenchError)
        try:
            with pa.OSFile(str(self.file)) as stream:
                while stream.tell() < stream.size():
                    reader = pa.ipc.open_stream(stream)
                    job = JobIdentity.from_text(reader.schema.metadata[_JOB], where=self.file)
                    if reader.schema.remove_metadata() != _schema(self._classes):
                        return
                    while (record := _next(reader)) is not None:
                        batch, metadata = record
                        batch.validate(full=True)
                        if int(metadata[_START]) != done or int(metadata[_CHECKSUM]) != _checksum(batch):
                            return
                        self.job, self._end = job, stream.tell()
                        yield done, batch
                        done += batch.num_rows
        except torn:
            return
        except OSError as error:
            if not error.errno:  # Arrow's, of a message that is cut off
                return
            raise DataError(f"{WHAT} cannot be read", where=self.file, got=error.strerror) from None


def _next(reader: pa.RecordBatchStreamReader) -> tuple[pa.RecordBatch, dict[bytes, bytes]] | None:
    """The next record and its metadata; None at the end of the stream."""
    try:
        found = reader.read_next_batch_with_custom_metadata()
    except StopIteration:
        return None
    return found.batch, dict(found.custom_metadata or {})


def _schema(classes: int) -> pa.Schema:
    import pyarrow as pa

    kinds = {
        "name": pa.binary(), "logits": pa.list_(pa.float32(), classes), "error": pa.binary(), "reason": pa.binary(),
        "size": pa.int64(), "modified": pa.int64(),
    }  # fmt: skip
    return pa.schema(list(kinds.items()))


def _checksum(batch: pa.RecordBatch) -> int:
    """CRC-32 of everything in a record."""
    found = zlib.crc32(str([(batch.num_rows, column.null_count) for column in batch.columns]).encode())
    for column in batch.columns:
        parts = [column, *([column.flatten()] if column.type.num_fields else [])]
        for buffer in [buffer for part in parts for buffer in part.buffers() if buffer is not None]:
            found = zlib.crc32(buffer, found)
    return found


def _change(then: Stamp | None, now: Stamp | None) -> str | None:
    """What happened to a file, in words; None if nothing did."""
    if then == now:
        return None
    if then is None:
        return "was missing"
    return "is missing" if now is None else "has another size" if then[0] != now[0] else "has another modification time"


def _encoded(text: str) -> bytes:
    return text.encode("utf-8", "surrogatepass")


def _decoded(data: bytes) -> str:
    return data.decode("utf-8", "surrogatepass")


def _binary(texts: Sequence[str | None]) -> pa.Array:
    import pyarrow as pa

    return pa.array([None if text is None else _encoded(text) for text in texts], pa.binary())


def _texts(column: pa.Array) -> list[str | None]:
    return [None if data is None else _decoded(data) for data in column.to_pylist()]
