"""A file of labels: a table with the columns ``path`` and ``label``, matched by path, such as a predictions file."""

from __future__ import annotations

import csv
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from clsbench.errors import DataError
from clsbench.predictions.cells import ClassIndex, Names
from clsbench.predictions.file_formats import (
    CsvFile,
    JsonlFile,
    ParquetFile,
    TableFile,
    read_batches,
    unreadable,
)
from clsbench.predictions.formulas import unescaped
from clsbench.predictions.manifest import Manifest, read_manifest
from clsbench.text import some
from clsbench.text_files import check_text, separator_hint

if TYPE_CHECKING:
    import pyarrow as pa


def read_labels(file: Path, names: Names, classes: ClassIndex) -> NDArray[np.int32]:
    """The label of each image.

    Args:
        file: The .jsonl or .parquet file; any other is CSV.
        names: The N images.
        classes: Index that takes in the labels.

    Returns:
        int32 (N,), -1 for images that the file does not name.

    Raises:
        DataError: if it cannot be read, lacks a column, gives a path two labels, names a
            class that is not among the classes, or fits none of the images.
    """
    import pyarrow.compute as pc

    table = _table(file)
    paths, labels = table.column("path").combine_chunks(), table.column("label")
    if Names(paths).may_repeat():
        _refuse_contradictions(file, table)
    codes = np.concatenate([classes.codes(part, "label", file) for part in labels.chunks])
    rows = pc.index_in(names.column, value_set=paths).fill_null(-1).to_numpy()
    if (rows < 0).all():
        raise DataError(
            "no path in the labels file is an image of the predictions",
            where=file,
            got=some([path.decode("utf-8", "replace") for path in paths[:6].to_pylist()]),
            expected=f"paths as in the predictions file, such as {some(names[:3])}",
            code="CB-L002",
        )
    found: NDArray[np.int32] = np.where(rows < 0, np.int32(-1), codes[rows])
    return found


def given_labels(file: Path) -> dict[str, str]:
    """Path -> label of a .jsonl or .parquet file, without the rows that have none.

    Raises:
        DataError: as :func:`read_labels`.
    """
    table = _table(file)
    paths, labels = Names(table.column("path").combine_chunks()), table.column("label").to_pylist()
    _refuse_contradictions(file, table)
    return {path: label for path, label in zip(paths, labels, strict=True) if label}


def has_escapes(file: Path, manifest: Manifest) -> bool:
    """Whether the texts of a predictions file have apostrophes that are not theirs, by its manifest."""
    return file.suffix.lower() == ".csv" and bool((manifest.options or {}).get("escape_formulas"))


def _table(file: Path) -> pa.Table:
    import pyarrow as pa
    import pyarrow.compute as pc

    formats: dict[str, type[JsonlFile] | type[ParquetFile]] = {".jsonl": JsonlFile, ".parquet": ParquetFile}
    kind = formats.get(file.suffix.lower(), CsvFile)
    try:
        if kind is not ParquetFile:
            check_text(file, "the labels file")
        opened: TableFile = kind(file)
    except (OSError, ValueError, RecursionError, csv.Error) as error:
        raise unreadable(file, error, "the labels file") from None
    if not {"path", "label"} <= set(opened.columns):
        raise DataError(
            "the labels file lacks a column",
            where=file,
            got=", ".join(opened.columns) or "an empty file",
            expected="path,label",
            hint=separator_hint(opened.columns),
        )
    batches = list(read_batches(file, opened, {"path": "bytes", "label": "codes"}))
    if has_escapes(file, read_manifest(file)[0]):
        batches = [{name: unescaped(column) for name, column in batch.items()} for batch in batches]
    if not batches:
        raise DataError("the labels file has no rows", where=file)
    table = pa.Table.from_batches([pa.RecordBatch.from_pydict(batch) for batch in batches])
    plain = pc.replace_substring_regex(table.column("path").fill_null(b""), r"^(\./)+", "")
    return table.set_column(0, "path", plain)


def _refuse_contradictions(file: Path, table: pa.Table) -> None:
    import pyarrow as pa
    import pyarrow.compute as pc

    texts = table.set_column(1, "label", table.column("label").cast(pa.string()))
    counts = texts.group_by("path").aggregate([("label", "count_distinct")])
    twice = counts.filter(pc.greater(counts.column("label_count_distinct"), 1)).column("path").to_pylist()
    if twice:
        raise DataError(
            "the labels file gives a path two labels",
            where=file,
            got=some([path.decode("utf-8", "replace") for path in twice], 3),
            code="CB-L003",
        )
