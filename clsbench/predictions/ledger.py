"""The ledger of a job that is under way: its blocks on disk, so that a killed job can be continued.

It lies beside the predictions file, as ``preds.csv.ledger``, until that file is complete. The format is Arrow's IPC
stream, one for each time the job ran, one after another. A record batch has the logits of consecutive images, their
features where these were asked for, why some were not classified, and the size and modification time of each file when
it was read; its metadata say which image it begins with, and have a checksum, so that a record that a crash cut off or
spoiled is seen, and done again.
Labels, columns and the format of the predictions are not in it: they may differ when the job is continued.
"""

from __future__ import annotations

import os
import stat
import time
from collections.abc import Iterator, Sequence
from contextlib import nullcontext, suppress
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, BinaryIO

import numpy as np
from numpy.typing import NDArray

from clsbench.errors import ClsbenchError, DataError
from clsbench.images.entries import Entry
from clsbench.output_files import unwritable
from clsbench.predictions.block import Predictions
from clsbench.predictions.job import JobIdentity
from clsbench.predictions.ledger_records import (
    checksum,
    decoded,
    make_record,
    next_record,
    record_schema,
    stamp_change,
    texts,
)

if TYPE_CHECKING:
    import pyarrow as pa

#: Seconds between two records, and bytes of logits and features at which one is written before that.
INTERVAL, LARGEST = 1.0, 1 << 24

#: Seconds before a patient ledger is begun.
PATIENCE = 5.0

#: Of the stream's schema: the job. Of a record: the number of its first image, and the checksum of its columns.
_JOB, _START, _CHECKSUM = b"clsbench.job", b"start", b"crc32"

#: How a message of a stream begins: a continuation marker. How a stream ends: with a message of no bytes.
_BEGIN = b"\xff\xff\xff\xff"
_END = _BEGIN + bytes(4)

WHAT = "the record of the unfinished job"


def ledger_path(predictions: Path) -> Path:
    """Where the ledger of a predictions file is: ``preds.csv.ledger``."""
    return predictions.with_name(predictions.name + ".ledger")


def read_job(file: Path) -> JobIdentity | None:
    """The job that a ledger records; None where there is none, or it says nothing yet.

    Args:
        file: Its path; see :func:`ledger_path`.

    Raises:
        DataError: if something else is there.
    """
    import pyarrow as pa

    if not os.path.lexists(file):
        return None
    _require_own(file)
    try:
        with pa.OSFile(os.fsencode(file)) as stream:
            return JobIdentity.from_text(pa.ipc.open_stream(stream).schema.metadata[_JOB], where=file)
    except (pa.ArrowException, EOFError, KeyError, ValueError, TypeError, ClsbenchError, OSError):
        return None


class Ledger:
    """Blocks of one job, read from a file and appended to it; a context manager, which writes the rest at the end.

    Args:
        file: Its path; see :func:`ledger_path`.
        entries: Of the whole job, in its order.
        stamps: int64 (N, 2), their sizes and modification times, from :func:`clsbench.images.entries.stamps_of`.
        classes: K, the number of logits.
        temperature: Of the card.
        feature_dim: D, where the blocks have features.
        patient: Write nothing in the first seconds of a job that begins: a short one then leaves no file.

    Raises:
        DataError: if the file cannot be read.
    """

    def __init__(
        self,
        file: Path,
        entries: Sequence[Entry],
        stamps: NDArray[np.int64],
        *,
        classes: int,
        temperature: float | None = None,
        feature_dim: int | None = None,
        patient: bool = False,
    ) -> None:
        self.file, self._entries, self._stamps = file, entries, stamps
        self._classes, self._feature_dim, self._temperature = classes, feature_dim, temperature or 1.0
        #: The job whose blocks these are; None while there are none. One of other classes or features has no rows here.
        self.job: JobIdentity | None = None
        self._end = 0
        for start, batch in self._records():
            self.rows = start + batch.num_rows
        self._stream: BinaryIO | None = None
        self._waiting: list[Predictions] = []
        self._size = 0
        self._written = time.monotonic() + (PATIENCE - INTERVAL if patient and not self.rows else 0)
        if not patient:
            self._schema  # noqa: B018  here and not at the first block: Arrow takes a while to load

    #: How many images are done.
    rows = 0

    @cached_property
    def _schema(self) -> pa.Schema:
        return record_schema(self._classes, self._feature_dim)

    def __enter__(self) -> Ledger:
        return self

    def __exit__(self, kind: type[BaseException] | None, *_: object) -> None:
        try:
            if self._stream is not None:
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
            dim = self._feature_dim
            yield Predictions(
                names, _matrix(batch, "logits", self._classes), texts(batch.column("error")),
                temperature=self._temperature, reasons=texts(batch.column("reason")),
                features=_matrix(batch, "features", dim) if dim else None,
            )  # fmt: skip

    def changes(self) -> list[str]:
        """Images that are done and are not what they were when they were read, with a word on each; at most five."""
        found: list[str] = []
        for start, batch in self._records():
            rows = slice(start, start + batch.num_rows)
            names = [entry.name for entry in self._entries[rows]]
            moved = [row for row, name in enumerate(batch.column("name").to_pylist()) if names[row] != decoded(name)]
            if moved:
                name = decoded(batch.column("name")[moved[0]].as_py())
                return [*found, f"{names[moved[0]]} is where {name} was"]
            then, now = np.stack([batch.column("size"), batch.column("modified")], axis=1), self._stamps[rows]
            for row in np.flatnonzero((then != now).any(axis=1)).tolist():
                found.append(f"{names[row]} {stamp_change(then[row], now[row])}")
                if len(found) == 5:
                    return found
        return found

    def begin(self, job: JobIdentity) -> None:
        """Make ready for more blocks; what a crash left of the last record is cut off.

        Args:
            job: The one that is to be continued when the file is read again.

        Raises:
            DataError: if it cannot be written.
        """
        self.job = job
        if self._written <= time.monotonic():
            self._open(job)

    def _open(self, job: JobIdentity) -> None:
        import pyarrow as pa

        try:
            self.file.parent.mkdir(parents=True, exist_ok=True)
            descriptor = os.open(self.file, os.O_RDWR | os.O_CREAT | getattr(os, "O_NOFOLLOW", 0), 0o666)
            self._stream = os.fdopen(descriptor, "r+b")
            self._stream.truncate(self._end)
            self._stream.seek(self._end)
            self._stream.write(_END if self._end else b"")
            self._writer = pa.ipc.new_stream(self._stream, self._schema.with_metadata({_JOB: job.to_text()}))
        except OSError as error:
            raise unwritable(self.file, WHAT, error) from None

    def append(self, block: Predictions) -> None:
        """Take the next block; now and then what was taken is written, and is on the disk when this returns.

        Raises:
            DataError: if the file cannot be written, for example because the disk is full.
        """
        self._waiting.append(block)
        self._size += block.logits.nbytes + (0 if block.features is None else block.features.nbytes)
        if self._size > LARGEST or time.monotonic() - self._written > INTERVAL:
            self._commit()

    def remove(self) -> None:
        """Let go of the file: the predictions are complete."""
        with suppress(FileNotFoundError):
            self.file.unlink()

    def _commit(self) -> None:
        if not self._waiting:
            return
        if self._stream is None:
            assert self.job is not None
            self._open(self.job)
        assert self._stream is not None
        count = sum(len(block.names) for block in self._waiting)
        batch = make_record(self._waiting, self._stamps[self.rows : self.rows + count], self._schema)
        self._waiting, self._size = [], 0
        try:
            metadata = {_START: str(self.rows), _CHECKSUM: str(checksum(batch))}
            self._writer.write_batch(batch, custom_metadata=metadata)
            self._stream.flush()
            os.fsync(self._stream.fileno())
        except OSError as error:  # what there is of this record is cut off when the job is continued
            raise unwritable(self.file, WHAT, error) from None
        self.rows += batch.num_rows
        self._written = time.monotonic()

    def _records(self) -> Iterator[tuple[int, pa.RecordBatch]]:
        """The whole records, each with the number of its first image, up to one that is torn."""
        import pyarrow as pa

        if not os.path.lexists(self.file):
            return
        _require_own(self.file)
        done, torn = 0, (pa.ArrowException, EOFError, KeyError, ValueError, ClsbenchError)
        try:
            with pa.OSFile(os.fsencode(self.file)) as stream:
                while stream.tell() < stream.size():
                    reader = pa.ipc.open_stream(stream)
                    job = JobIdentity.from_text(reader.schema.metadata[_JOB], where=self.file)
                    if reader.schema.remove_metadata() != self._schema:  # of other classes or features
                        self.job = self.job or job
                        return
                    while (record := next_record(reader)) is not None:
                        batch, metadata = record
                        batch.validate(full=True)
                        if int(metadata[_START]) != done or int(metadata[_CHECKSUM]) != checksum(batch):
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


def _matrix(batch: pa.RecordBatch, name: str, width: int) -> NDArray[np.float32]:
    """A column of lists as an array float32 (n, width) of its own."""
    values: NDArray[np.float32] = batch.column(name).flatten().to_numpy().reshape(-1, width)
    return values.copy()


def _require_own(file: Path) -> None:
    """Refuse what is no ledger: it is neither waited for, nor followed, nor written over."""
    try:
        with file.open("rb") if stat.S_ISREG(file.lstat().st_mode) else nullcontext() as stream:
            found = None if stream is None else stream.read(1 << 14)
    except OSError as error:
        raise DataError(f"{WHAT} cannot be read", where=file, got=error.strerror) from None
    # A crash may leave zeros, or spoil some bytes.
    if found is None or not (_BEGIN.startswith(found[:4]) or not any(found) or _JOB in found):
        raise DataError(
            "where this job is to be recorded, something else is already", where=file,
            got="a link, a folder or a device" if found is None else "a file of something else",
            hint="move it, or choose another --out")  # fmt: skip
