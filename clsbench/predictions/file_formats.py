"""Prediction files as batches of Arrow arrays: CSV, JSON lines and Parquet.

A file's columns are known before it is read; in JSON lines the keys of the object
``probabilities`` count as columns ``p:<class>``. What the values mean is not decided here.
"""

from __future__ import annotations

import csv
import json
import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from itertools import islice
from pathlib import Path
from typing import TYPE_CHECKING, Protocol

from clsbench.errors import DataError, OptionError
from clsbench.predictions.columns import PREFIX, Kind, class_columns
from clsbench.predictions.parts import is_folder_of_parts, list_parts
from clsbench.text import command, some
from clsbench.text_files import check_text

if TYPE_CHECKING:
    import pyarrow as pa

#: Suffixes of predictions files.
SUFFIXES = (".csv", ".jsonl", ".parquet")

#: Bytes of text read at a time, at least.
BLOCK = 1 << 20

#: Values of a Parquet file read at a time, and rows at least.
VALUES, ROWS = 1 << 21, 64


class TableFile(Protocol):
    """One file; ``columns`` are its column names."""

    columns: list[str]

    def batches(self, kinds: Mapping[str, Kind]) -> Iterator[dict[str, pa.Array]]:
        """Read the wanted columns: for each batch of rows name -> Arrow array, null where there is no value."""


def open_file(file: Path) -> TableFile:
    """A predictions file, by its suffix, or a folder of Parquet parts.

    Raises:
        OptionError: for another suffix.
        DataError: if the file cannot be read or is empty.
    """
    formats: dict[str, Callable[[Path], TableFile]]
    formats = {".csv": CsvFile, ".jsonl": JsonlFile, ".parquet": ParquetFile}
    if is_folder_of_parts(file):
        try:
            return PartsFile(file)
        except (OSError, ValueError) as error:
            raise unreadable(file, error) from None
    if file.is_dir():
        judged = f"{command('evaluate', file, '--html', 'report.html')} judges this run"
        raise DataError(
            "this is a folder, not a predictions file", where=file, expected="a file that `infer` wrote",
            hint=judged if (file / "run.json").is_file() else None,
        )  # fmt: skip
    if file.suffix.lower() not in formats:
        raise OptionError(
            "unknown suffix of a predictions file", got=file, expected=" or ".join(SUFFIXES),
            hint="`clsbench infer IMAGES --out preds.csv` makes one; a model is named by --model FILE there",
        )  # fmt: skip
    try:
        if file.stat().st_size == 0:
            raise DataError("the predictions file is empty", where=file)
        if file.suffix.lower() != ".parquet":
            check_text(file, "the predictions file")
        return formats[file.suffix.lower()](file)
    except (OSError, ValueError, RecursionError, csv.Error) as error:
        raise unreadable(file, error) from None


def read_batches(file: Path, opened: TableFile, kinds: Mapping[str, Kind]) -> Iterator[dict[str, pa.Array]]:
    """The batches of a file.

    Raises:
        DataError: if the file is damaged, or a value in a column of numbers is not a number.
    """
    import pyarrow as pa

    try:
        yield from opened.batches(kinds)
    except (OSError, ValueError, RecursionError, pa.ArrowException) as error:
        raise unreadable(file, error) from None


def unreadable(file: Path, error: Exception, what: str = "the predictions file") -> DataError:
    """A library's error about a file, as an error of ours."""
    said = getattr(error, "strerror", None) or " ".join(str(error).split())
    return DataError(f"{what} cannot be read", where=file, got=said[:300])


def _block(columns: Sequence[str]) -> int:
    """Bytes of text to read at a time: room for 16 rows, with the names in JSON and 24 letters a number.

    A row has to fit, and each block costs some work per column.
    """
    return max(BLOCK, 16 * sum(len(name) + 24 for name in columns))


def _arrow_types(kinds: Mapping[str, Kind]) -> dict[str, pa.DataType]:
    import pyarrow as pa

    types = {
        "bytes": pa.large_binary(),
        "codes": pa.dictionary(pa.int32(), pa.string()),
        "number": pa.float64(),
        "probability": pa.float32(),
        "flag": pa.bool_(),
    }
    return {name: types[kind] for name, kind in kinds.items()}


def _cast(column: pa.Array, kind: pa.DataType) -> pa.Array:
    """The array in the type that is wanted."""
    import pyarrow as pa

    if pa.types.is_dictionary(column.type):
        column = column.dictionary_decode()
    if pa.types.is_dictionary(kind):
        return column.cast(pa.string()).dictionary_encode()
    if column.type == kind:
        return column
    if pa.types.is_large_binary(kind) and not pa.types.is_binary(column.type):
        column = column.cast(pa.large_string())
    return column.cast(kind)


class CsvFile:
    """Comma-separated values with a header; an empty cell is no value."""

    def __init__(self, file: Path) -> None:
        self._file = file
        with file.open(newline="", encoding="utf-8-sig", errors="surrogateescape") as lines:
            self.columns = next(csv.reader(lines), [])

    def batches(self, kinds: Mapping[str, Kind]) -> Iterator[dict[str, pa.Array]]:
        """See :class:`TableFile`."""
        from pyarrow import csv as arrow

        types = _arrow_types(kinds)
        reader = arrow.open_csv(
            self._file,
            read_options=arrow.ReadOptions(block_size=_block(self.columns)),
            parse_options=arrow.ParseOptions(newlines_in_values=True),
            convert_options=arrow.ConvertOptions(
                column_types=types, include_columns=list(types), null_values=[""], strings_can_be_null=True
            ),
        )
        for batch in reader:
            yield dict(zip(batch.schema.names, batch.columns, strict=True))


class ParquetFile:
    """Apache Parquet."""

    def __init__(self, file: Path) -> None:
        import pyarrow.parquet as pq

        # By default Arrow reads ahead, in the end the whole file.
        self._parquet = pq.ParquetFile(file, pre_buffer=False)
        self.columns = list(self._parquet.schema_arrow.names)

    def batches(self, kinds: Mapping[str, Kind]) -> Iterator[dict[str, pa.Array]]:
        """See :class:`TableFile`."""
        types = _arrow_types(kinds)
        size = max(ROWS, min(1 << 16, VALUES // len(types)))
        for batch in self._parquet.iter_batches(batch_size=size, columns=list(types)):
            yield {name: _cast(batch.column(name), kind) for name, kind in types.items()}


class PartsFile:
    """A folder of Apache Parquet files, one after another."""

    def __init__(self, folder: Path) -> None:
        self._files = list_parts(folder)
        self.columns = ParquetFile(self._files[0]).columns

    def batches(self, kinds: Mapping[str, Kind]) -> Iterator[dict[str, pa.Array]]:
        """See :class:`TableFile`."""
        for file in self._files:
            try:
                part = ParquetFile(file)
                if part.columns == self.columns:
                    yield from part.batches(kinds)
                    continue
            except (OSError, ValueError) as error:  # Arrow's own are of these two
                raise unreadable(file, error) from None
            raise DataError(
                "a part of the predictions has other columns", where=file, got=some(part.columns, 20),
                expected=some(self.columns, 20), hint="parts of two jobs lie in one folder",
            )  # fmt: skip


class JsonlFile:
    """One JSON object a line."""

    def __init__(self, file: Path) -> None:
        self._file = file
        self.columns: list[str] = []
        self._nested: list[str] = []
        with file.open("rb") as lines:
            for number, line in enumerate(lines, 1):
                try:
                    row = json.loads(line)
                except ValueError:
                    row = None
                if not isinstance(row, dict):
                    raise DataError(
                        "a line of the predictions file is not a JSON object",
                        where=f"{file}:{number}", got=line[:80].decode("utf-8", "replace").rstrip(),
                    )  # fmt: skip
                self.columns = self.columns or [name for name in row if name != "probabilities"]
                if not isinstance(given := row.get("probabilities") or {}, dict):
                    raise DataError(
                        "the probabilities of an image are not an object", where=f"{file}:{number}",
                        got=str(given)[:80], expected='{"class": number, …}',
                    )  # fmt: skip
                self._nested = list(given)
                # The probabilities are null after an error, so the first row may not tell the classes.
                if self._nested or "probabilities" not in row:
                    break
        self.columns += class_columns(self._nested)

    def batches(self, kinds: Mapping[str, Kind]) -> Iterator[dict[str, pa.Array]]:
        """See :class:`TableFile`."""
        import pyarrow as pa

        types = _arrow_types(kinds)
        nested = set(class_columns(self._nested)) & types.keys()
        read = {name: pa.string() if pa.types.is_dictionary(kind) else kind for name, kind in types.items()}
        fields = [(name, kind) for name, kind in read.items() if name not in nested]
        if nested:
            inner = [(name.removeprefix(PREFIX), types[name]) for name in types if name in nested]
            fields.append(("probabilities", pa.struct(inner)))
        schema = pa.schema(fields)
        for batch in self._slow(schema) if self._has_escapes() else self._fast(schema):
            found = dict(zip(batch.schema.names, batch.columns, strict=True))
            if nested:
                struct = found.pop("probabilities")
                names = [PREFIX + field.name for field in struct.type]
                found |= dict(zip(names, struct.flatten(), strict=True))
            yield {name: _cast(found[name], kind) for name, kind in types.items()}

    def _fast(self, schema: pa.Schema) -> Iterator[pa.RecordBatch]:
        from pyarrow import json as arrow

        yield from arrow.open_json(
            self._file,
            read_options=arrow.ReadOptions(block_size=_block(self.columns)),
            parse_options=arrow.ParseOptions(explicit_schema=schema, unexpected_field_behavior="ignore"),
        )

    def _slow(self, schema: pa.Schema) -> Iterator[pa.RecordBatch]:
        """With Python's JSON parser, which accepts what Arrow's refuses: half a surrogate pair."""
        import pyarrow as pa

        binary = [field.name for field in schema if pa.types.is_large_binary(field.type)]
        with self._file.open("rb") as lines:
            while rows := [json.loads(line) for line in islice(lines, 4096)]:
                if not all(isinstance(row, dict) for row in rows):
                    raise ValueError("a line is not a JSON object")
                for row in rows:
                    texts = {name: row[name] for name in binary if isinstance(row.get(name), str)}
                    row |= {name: text.encode("utf-8", "surrogateescape") for name, text in texts.items()}
                yield pa.RecordBatch.from_pylist(rows, schema)

    def _has_escapes(self) -> bool:
        """Whether a surrogate is escaped anywhere: a byte of a file name that is not UTF-8."""
        escape, tail = re.compile(rb"\\u[dD][89a-fA-F]"), b""
        with self._file.open("rb") as data:
            while chunk := data.read(1 << 20):
                if escape.search(tail + chunk):
                    return True
                tail = chunk[-3:]
        return False
