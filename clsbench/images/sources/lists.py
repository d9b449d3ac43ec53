"""Lists of images: ``.txt`` with a path a line, ``.csv``, ``.jsonl`` and ``.parquet`` with a column of paths.

Relative paths start at the folder of the list, those of standard input at the current folder. A path may be a URL.
"""

from __future__ import annotations

import csv
import io
import json
import os
import sys
from collections.abc import Iterator, Sequence
from contextlib import AbstractContextManager, nullcontext
from pathlib import Path
from typing import IO, Any

from clsbench.errors import DataError
from clsbench.images.sources.paths import PathsSource
from clsbench.images.sources.stores import forget, open_store
from clsbench.images.sources.urls import is_url, parent_url, path_of, redacted, without_file_scheme
from clsbench.text import some

#: Suffixes of lists.
LISTS = (".txt", ".csv", ".jsonl", ".parquet")

#: The location of a list that is piped into the program.
STDIN = "-"

#: Columns that hold paths, the first of them that is there.
_COLUMNS = ("path", "file", "filename", "image", "url")

#: Rows of a Parquet file that are read at a time.
_ROWS = 65536


def open_list(location: Path | str, *, column: str | None = None) -> PathsSource:
    """A list of images; empty lines and fields are passed over.

    Args:
        location: The file or its URL; ``-`` for lines of standard input.
        column: That of the paths; if left out ``path``, ``file``, ``filename``, ``image`` or ``url``.

    Raises:
        DataError: if it cannot be read, is not what its suffix says, lacks the column, names a path twice, or none.
    """
    place = without_file_scheme(str(location))
    notes: list[str] = []
    shown = "standard input" if place == STDIN else redacted(place)
    base = parent_url(place) if is_url(place) else "" if place == STDIN else os.path.dirname(place)
    try:
        with _opened(place) as file:
            paths = _with_first(_paths(file, os.path.splitext(path_of(place))[1].lower(), column, shown, notes), shown)
            return PathsSource(paths, base=base, location=place, notes=notes)
    except DataError as error:
        if error.what == "a path is listed twice" and not is_url(place) and place != STDIN:
            raise _line_of(error, place) from None
        raise
    except OSError as error:
        raise DataError("the list of images cannot be read", where=shown, got=error.strerror or error) from None


def _opened(place: str) -> AbstractContextManager[IO[bytes]]:
    if place == STDIN:
        return nullcontext(sys.stdin.buffer)
    return _copied(place) if is_url(place) else open(place, "rb")


def _copied(place: str) -> IO[bytes]:
    """A list in a network, all of it, since a part would pass for the whole."""
    store = open_store(place)
    forget(place)
    if store.damage:
        raise DataError("the list of images cannot be read", where=redacted(place), got=store.damage)
    return store.file()


def _with_first(paths: Iterator[str], shown: str) -> Iterator[str]:
    """The paths, of which there has to be one."""
    first = next(paths, None)
    if first is None:
        raise DataError("the list names no images", where=shown, expected="a path a line, or a column of paths")
    yield first
    yield from paths


def _paths(file: IO[bytes], suffix: str, column: str | None, shown: str, notes: list[str]) -> Iterator[str]:
    if suffix == ".csv":
        return _csv_paths(file, column, shown, notes)
    if suffix == ".jsonl":
        return _json_paths(file, column, shown)
    if suffix == ".parquet":
        return _parquet_paths(file, column, shown)
    if column is not None:
        raise DataError("a list with a path a line has no columns", where=shown, got=column)
    return _lines(file, shown)


def _lines(file: IO[bytes], shown: str) -> Iterator[str]:
    for number, line in enumerate(file):
        if b"\0" in line or (number == 0 and line.startswith(b"\x89PNG")):
            raise DataError("not a list of images", where=shown, got="binary data", expected="text with a path a line")
        path = os.fsdecode((line.removeprefix(b"\xef\xbb\xbf") if number == 0 else line).rstrip(b"\r\n"))
        if path.strip():
            yield path


def _column(names: Sequence[str], column: str | None, shown: str) -> str:
    """The name of the column of paths."""
    if column is not None and column in names:
        return column
    known = {name.strip().lower(): name for name in reversed(names)}
    found = next((known[name] for name in _COLUMNS if name in known), None) if column is None else None
    if found is None:
        raise DataError(
            f"the list has no column '{column}'" if column else "the list has no column of paths",
            where=shown,
            got=some(list(names), 8) if names else "an empty file",
            expected=None if column else " or ".join(_COLUMNS),
            hint="name the column with --with list.column=NAME",
        )
    return found


def _csv_paths(file: IO[bytes], column: str | None, shown: str, notes: list[str]) -> Iterator[str]:
    text = io.TextIOWrapper(file, encoding="utf-8-sig", errors="surrogateescape", newline="")
    try:
        reader = csv.reader(text)
        names = next(reader, [])
        place = names.index(_column(names, column, shown))
        if "predicted" in names and "path" in names and column is None:
            notes.append(f"{shown} holds predictions: its paths are looked for beside it, not where infer read them")
        elif "label" in (name.strip().lower() for name in names):
            notes.append(
                f"the labels in {shown} are not used: --dataset csv reads paths with their labels, and "
                f"FOLDER --labels {shown} the labels of a folder"
            )
        for row in reader:
            if len(row) > place and row[place].strip():
                yield row[place]
    except csv.Error as error:
        raise DataError("the list of images cannot be read", where=shown, got=error, expected="a CSV file") from None
    finally:
        text.detach()


def _json_paths(file: IO[bytes], column: str | None, shown: str) -> Iterator[str]:
    for number, line in enumerate(file, 1):
        if not line.strip():
            continue
        try:
            value: Any = json.loads(line)
        except (ValueError, RecursionError) as error:
            raise DataError("the list of images cannot be read", where=f"{shown}:{number}", got=error) from None
        path = value[_column(list(value), column, f"{shown}:{number}")] if isinstance(value, dict) else value
        if not isinstance(path, str):
            raise DataError("not a path", where=f"{shown}:{number}", got=f"{path!r:.80}", expected="text")
        if path.strip():
            yield path


def _parquet_paths(file: IO[bytes], column: str | None, shown: str) -> Iterator[str]:
    import pyarrow as pa
    import pyarrow.parquet as pq

    try:
        table = pq.ParquetFile(file)
        name = _column(table.schema_arrow.names, column, shown)
        for batch in table.iter_batches(_ROWS, columns=[name]):
            paths = batch.column(0)
            if pa.types.is_dictionary(paths.type):
                paths = paths.dictionary_decode()
            if pa.types.is_string(paths.type) or pa.types.is_large_string(paths.type):
                paths = paths.cast(pa.large_binary())  # a name need not be UTF-8, whatever the column says
            for path in paths.to_pylist():
                if not isinstance(path, str | bytes | None):
                    raise DataError("not a path", where=shown, got=f"{path!r:.80}", expected="text")
                if path and path.strip():
                    yield os.fsdecode(path)
    except (pa.ArrowException, UnicodeDecodeError) as error:
        raise DataError("the list of images cannot be read", where=shown, got=error) from None


def _line_of(error: DataError, place: str) -> DataError:
    """The error for a path that is there twice, with the lines where it is."""
    path, lines = str(error.facts["got"]), []
    suffix = os.path.splitext(place)[1].lower()
    if suffix == ".parquet":
        return error
    with open(place, "rb") as file:
        for number, line in enumerate(file, 1):
            text = os.fsdecode(line).lstrip("\ufeff").rstrip("\r\n")
            if path == text or (suffix in (".csv", ".jsonl") and path in text):
                lines.append(number)
    if len(lines) < 2:
        return error
    return DataError(error.what, where=f"{place}:{lines[-1]}", got=f"{path}, also in line {lines[0]}")
