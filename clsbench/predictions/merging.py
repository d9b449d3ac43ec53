"""Merging: the predictions files of all shards of a job become the file of the whole, row by row and byte for byte.

A shard's manifest says which rows of the whole its file has. The names in the order of the whole must have the hash
that all shards recorded: so no image is missing, double or misplaced.
"""

from __future__ import annotations

import csv
import hashlib
import json
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, TextIO

import numpy as np
from numpy.typing import NDArray

from clsbench.errors import DataError
from clsbench.predictions.arrow import group_size
from clsbench.predictions.columns import FEATURES, PREFIX
from clsbench.predictions.feature_file import features_path, open_features, write_header, write_rows
from clsbench.predictions.formulas import plain
from clsbench.predictions.manifest import METADATA_KEY, Manifest
from clsbench.predictions.shard_files import ShardFile
from clsbench.predictions.spill import release

if TYPE_CHECKING:
    import pyarrow as pa

#: Numbers of features that are merged at a time.
FEATURES_PART = 1 << 22

#: A row of a text file as it is written, and the name of its image.
Line = tuple[str, str]


class Names:
    """The hash of names that come one after another; as :func:`clsbench.predictions.job.hash_names`."""

    def __init__(self) -> None:
        self._digest = hashlib.sha256()

    def add(self, name: str) -> None:
        """Take the next one."""
        self._digest.update(name.encode("utf-8", "surrogatepass") + b"\0")

    def hex(self) -> str:
        """Of all of them."""
        return self._digest.hexdigest()


def write_whole(shards: Sequence[ShardFile], out: Path, lasting: Manifest) -> None:
    """Write the rows of all shards in the order of the whole.

    Args:
        shards: As :func:`clsbench.predictions.shard_files.check_shards` wants them.
        out: The file to write, in the format of the shards.
        lasting: What the file itself is to say of the job, where its format has a place for it.

    Raises:
        DataError: if a file cannot be read, or has not the rows that its manifest says.
    """
    import pyarrow as pa

    owner, names = _owners(shards), Names()
    try:
        if shards[0].file.suffix.lower() == ".parquet":
            _write_parquet(shards, out, owner, lasting, names)
        else:
            _write_text(shards, out, owner, names)
    except (ValueError, RecursionError, csv.Error, pa.ArrowException) as error:
        raise DataError("the file of a shard is damaged", where=shards[0].file.parent, got=error) from None
    if names.hex() != shards[0].record.names:
        raise DataError(
            "the names in the shards are not those of the job", where=shards[0].file.parent,
            hint="a shard's file was changed, or lies beside the manifest of another one", code="CB-J004",
        )  # fmt: skip


def write_features(shards: Sequence[ShardFile], out: Path, feature_dim: int) -> None:
    """Write the features beside the files of all shards in the order of the whole.

    Args:
        shards: As :func:`clsbench.predictions.shard_files.check_shards` wants them.
        out: The file to write.
        feature_dim: D.

    Raises:
        DataError: if the features of a shard cannot be read, or are not as many as its rows.
    """
    owner, done = _owners(shards), [0] * len(shards)
    parts = [open_features(features_path(one.file), (len(one.record.rows), feature_dim)) for one in shards]
    step = max(1, FEATURES_PART // feature_dim)
    with out.open("wb") as stream:
        write_header(stream, (len(owner), feature_dim))
        for start in range(0, len(owner), step):
            owners = owner[start : start + step]
            rows = np.empty((len(owners), feature_dim), np.float32)
            for number in np.unique(owners).tolist():
                where = np.flatnonzero(owners == number)
                rows[where] = parts[number][done[number] : done[number] + len(where)]
                done[number] += len(where)
                release(parts[number])
            write_rows(stream, rows)


def _owners(shards: Sequence[ShardFile]) -> NDArray[np.int32]:
    """int32 (N,): of each row of the whole the number of its shard."""
    owner = np.empty(shards[0].record.total, np.int32)
    for number, shard in enumerate(shards):
        owner[shard.record.rows] = number
    return owner


def _write_text(shards: Sequence[ShardFile], out: Path, owner: NDArray[np.int32], names: Names) -> None:
    tables = [(_CsvTable if shard.file.suffix.lower() == ".csv" else _JsonTable)(shard) for shard in shards]
    try:
        for shard, table in zip(shards, tables, strict=True):
            _require_columns(shard, table.header, tables[0].header)
        with out.open("w", encoding="utf-8", errors=tables[0].odd_names, newline="") as file:
            file.write(tables[0].header)
            for number in owner.tolist():
                line, name = next(tables[number].lines, ("", None))
                if name is None:
                    raise _wrong_rows(shards[number])
                file.write(line)
                names.add(name)
        for shard, table in zip(shards, tables, strict=True):
            if next(table.lines, None) is not None:
                raise _wrong_rows(shard)
    finally:
        for table in tables:
            table.close()


class _CsvTable:
    """A CSV file, row by row as it is written."""

    odd_names = "surrogateescape"

    def __init__(self, shard: ShardFile) -> None:
        self._file = shard.file.open(encoding="utf-8", errors=self.odd_names, newline="")
        self._read: list[str] = []
        self._rows = csv.reader(self._recorded(self._file))
        columns = next(self._rows, [])
        self.header = self._taken()
        if "path" not in columns:
            raise DataError("the file of a shard has no column path", where=shard.file)
        escaped = bool((shard.manifest.options or {}).get("escape_formulas"))
        self.lines = self._lines(columns.index("path"), plain if escaped else str)

    def _recorded(self, file: TextIO) -> Iterator[str]:
        for line in file:
            self._read.append(line)
            yield line

    def _taken(self) -> str:
        text = "".join(self._read)
        self._read.clear()
        return text

    def _lines(self, path: int, name: Callable[[str], str]) -> Iterator[Line]:
        for row in self._rows:
            yield self._taken(), name(row[path])

    def close(self) -> None:
        self._file.close()


class _JsonTable:
    """JSON lines, one a row."""

    odd_names, header = "backslashreplace", ""

    def __init__(self, shard: ShardFile) -> None:
        self._file = shard.file.open(encoding="utf-8", newline="\n")
        self.lines: Iterator[Line] = ((line, str(json.loads(line)["path"])) for line in self._file)

    def close(self) -> None:
        self._file.close()


def _write_parquet(
    shards: Sequence[ShardFile], out: Path, owner: NDArray[np.int32], lasting: Manifest, names: Names
) -> None:
    import pyarrow as pa
    import pyarrow.parquet as pq

    files = [pq.ParquetFile(shard.file, pre_buffer=False) for shard in shards]
    schema = files[0].schema_arrow.remove_metadata()
    for shard, file in zip(shards, files, strict=True):
        _require_columns(shard, str(file.schema_arrow.remove_metadata()), str(schema))
        if file.metadata.num_rows != len(shard.record.rows):
            raise _wrong_rows(shard)
    features = schema.field(FEATURES).type.list_size if FEATURES in schema.names else 0
    size = group_size(sum(name.startswith(PREFIX) for name in schema.names), features)
    rows = [_Rows(file, size) for file in files]
    with pq.ParquetWriter(out, schema) as writer:
        for start in range(0, len(owner), size):
            part = owner[start : start + size]
            pieces = [rows[k].take(int((part == k).sum())) for k in range(len(rows))]
            order = np.argsort(np.argsort(part, kind="stable"), kind="stable")
            table = pa.concat_tables(pieces).take(order).combine_chunks()
            for name in table.column("path").to_pylist():
                names.add(name if isinstance(name, str) else name.decode("utf-8", "surrogateescape"))
            writer.write_table(table)
        writer.add_key_value_metadata({METADATA_KEY: json.dumps(lasting.to_json())})


class _Rows:
    """The rows of a Parquet file, so many at a time as are asked for."""

    def __init__(self, file: pa.parquet.ParquetFile, size: int) -> None:
        self._batches = file.iter_batches(batch_size=size)
        self._rest = file.schema_arrow.remove_metadata().empty_table()

    def take(self, count: int) -> pa.Table:
        """The next rows."""
        import pyarrow as pa

        while self._rest.num_rows < count:
            batch = pa.Table.from_batches([next(self._batches)]).replace_schema_metadata(None)
            self._rest = pa.concat_tables([self._rest, batch])
        taken, self._rest = self._rest.slice(0, count), self._rest.slice(count)
        return taken


def _require_columns(shard: ShardFile, ours: str, wanted: str) -> None:
    if ours != wanted:
        raise DataError(
            "the shards have other columns", where=shard.file, got=ours.strip(), expected=wanted.strip(), code="CB-J004"
        )


def _wrong_rows(shard: ShardFile) -> DataError:
    return DataError(
        "the file has not the rows that its manifest says", where=shard.file,
        hint="it was changed after it was written: infer this shard again",
    )  # fmt: skip
