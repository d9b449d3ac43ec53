"""Prediction files: CSV, JSON lines and Parquet, with the same columns in the same order.

    path, label, predicted, confidence, label_confidence, correct, error[, top1, p1 … topK, pK]

Confidences are probabilities, rounded to six places. With ``probabilities`` a column
``p:<class>`` for each class follows (JSON lines: one object ``probabilities``), not rounded:
the text reads back as the same float32. A file is written under a name that ends in
``.partial`` and gets its own name when it is whole.
"""

from __future__ import annotations

import csv
import json
from collections.abc import Iterator, Sequence
from pathlib import Path
from types import TracebackType
from typing import IO, Any, ClassVar, Self

import numpy as np
from numpy.typing import NDArray

from clsbench.card import ModelCard
from clsbench.errors import DataError
from clsbench.predictions.block import PREFIX, Predictions

COLUMNS = ("path", "label", "predicted", "confidence", "label_confidence", "correct", "error")

Row = list[str | float | bool | None]


def columns(topk: int) -> list[str]:
    """The column names, in order."""
    return [*COLUMNS, *(name for k in range(1, topk + 1) for name in (f"top{k}", f"p{k}"))]


def rows(predictions: Predictions, classes: tuple[str, ...], topk: int) -> Iterator[Row]:
    """One row an image, in order; None where there is no value."""
    probabilities, index = predictions.probabilities, np.arange(len(predictions.names))
    ranked = predictions.top(max(1, topk))
    values = np.take_along_axis(probabilities, ranked, axis=1).astype(float).round(6).tolist()
    label_values = probabilities[index, predictions.labels].astype(float).round(6).tolist()
    batch = zip(
        predictions.names, predictions.labels.tolist(), predictions.errors,
        ranked.tolist(), values, label_values, strict=True,
    )  # fmt: skip
    for name, label, error, best, best_values, label_value in batch:
        truth = classes[label] if label >= 0 else None
        if error is not None:
            yield [name, truth, None, None, None, None, error, *[None] * (2 * topk)]
            continue
        known = label >= 0
        row: Row = [
            name, truth, classes[best[0]], best_values[0],
            label_value if known else None, best[0] == label if known else None, None,
        ]  # fmt: skip
        for k in range(topk):
            row += [classes[best[k]], best_values[k]]
        yield row


def _number_texts(values: NDArray[np.float32]) -> Any:
    """An Arrow array of the shortest texts that read back as the same float32; null for NaN."""
    import pyarrow as pa

    return pa.array(values.ravel(), from_pandas=True).cast(pa.string())


class _FileWriter:
    """What the three writers share: the options, and the partial file.

    Args:
        path: Of the file.
        card: Of the model.
        topk: Columns for so many of the best classes.
        probabilities: Columns for the probabilities of all classes.
    """

    suffix: ClassVar[str]

    def __init__(self, path: Path, card: ModelCard, *, topk: int = 0, probabilities: bool = False) -> None:
        self.path, self.classes, self.topk = path, card.classes, min(topk, len(card.classes))
        self.probabilities = probabilities
        self._partial = path.with_name(path.name + ".partial")
        self._file: IO[Any]

    def __enter__(self) -> Self:
        try:
            if self.path.is_dir():
                raise DataError("the predictions cannot be written", where=self.path, got="it is a folder")
            self.path.parent.mkdir(parents=True, exist_ok=True)
            self._open()
        except OSError as error:
            raise DataError("the predictions cannot be written", where=self.path, got=error.strerror) from None
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._close()
        if error is None:
            self._partial.replace(self.path)

    #: Names of files need not be valid text; this is how they survive the round trip.
    odd_names: ClassVar[str] = "surrogateescape"

    def _open(self) -> None:
        self._file = self._partial.open("w", encoding="utf-8", errors=self.odd_names, newline="")

    def _close(self) -> None:
        self._file.close()


class CsvWriter(_FileWriter):
    """Comma-separated values, RFC 4180; empty where there is no value."""

    def _open(self) -> None:
        super()._open()
        self._csv = csv.writer(_Line(), lineterminator="\n")
        # The plain writer leaves a carriage return bare, and readers end the row there.
        self._quoting = csv.writer(_Line(), lineterminator="\n", quoting=csv.QUOTE_ALL)
        more = [PREFIX + name for name in self.classes if self.probabilities]
        self._file.write(self._line([*columns(self.topk), *more]) + "\n")

    def write(self, predictions: Predictions) -> None:
        """Append a batch."""
        text = {True: "true", False: "false"}
        ends = self._numbers(predictions) if self.probabilities else [""] * len(predictions.names)
        for row, end in zip(rows(predictions, self.classes, self.topk), ends, strict=True):
            row[5] = text[row[5]] if isinstance(row[5], bool) else None
            self._file.write(f"{self._line(row)}{end}\n")

    def _line(self, row: Sequence[object]) -> str:
        bare = any(isinstance(value, str) and "\r" in value for value in row)
        line: str = (self._quoting if bare else self._csv).writerow(row)
        return line[:-1]

    def _numbers(self, predictions: Predictions) -> list[str]:
        """How each row ends: numbers need no quotes, so Arrow joins them, many times faster than csv."""
        import pyarrow as pa
        import pyarrow.compute as pc

        values = predictions.probabilities
        offsets = pa.array(np.arange(0, values.size + 1, values.shape[1], dtype=np.int32))
        joined = pc.binary_join(pa.ListArray.from_arrays(offsets, _number_texts(values)), ",")
        return [f",{text}" if text is not None else "," * values.shape[1] for text in joined.to_pylist()]


class _Line:
    """A file that hands what is written back, as csv's writerow returns what write returns."""

    def write(self, text: str) -> str:
        return text


class JsonlWriter(_FileWriter):
    """One JSON object a line; null where there is no value."""

    odd_names = "backslashreplace"

    def write(self, predictions: Predictions) -> None:
        """Append a batch."""
        names = columns(self.topk)
        lines = (
            json.dumps(dict(zip(names, row, strict=True)), ensure_ascii=False)
            for row in rows(predictions, self.classes, self.topk)
        )
        if self.probabilities:
            pairs = zip(lines, self._objects(predictions), strict=True)
            lines = (f'{line[:-1]}, "probabilities": {text}}}' for line, text in pairs)
        self._file.writelines(f"{line}\n" for line in lines)

    def _objects(self, predictions: Predictions) -> Iterator[str]:
        """The JSON of each image's probabilities, null after an error."""
        keys = (json.dumps(name, ensure_ascii=False).replace("%", "%%") for name in self.classes)
        template = f"{{{', '.join(f'{key}: %s' for key in keys)}}}"
        texts, count = _number_texts(predictions.probabilities).to_pylist(), len(self.classes)
        for start in range(0, len(texts), count):
            yield template % tuple(texts[start : start + count]) if texts[start] is not None else "null"


class ParquetWriter(_FileWriter):
    """Apache Parquet, written in groups of rows; null where there is no value."""

    #: Rows gathered before a row group is written.
    GROUP = 16384

    def _open(self) -> None:
        import pyarrow as pa
        import pyarrow.parquet as pq

        kinds = {"confidence": pa.float64(), "label_confidence": pa.float64(), "correct": pa.bool_()}
        kinds |= {f"p{k}": pa.float64() for k in range(1, self.topk + 1)}
        named = [(name, kinds.get(name, pa.string())) for name in columns(self.topk)]
        named += [(PREFIX + name, pa.float32()) for name in self.classes if self.probabilities]
        self._schema = pa.schema(named)
        self._rows: list[Row] = []
        self._blocks: list[NDArray[np.float32]] = []
        self._parquet = pq.ParquetWriter(self._partial, self._schema)

    def write(self, predictions: Predictions) -> None:
        """Append a batch."""
        self._rows += rows(predictions, self.classes, self.topk)
        if self.probabilities:
            self._blocks.append(predictions.probabilities.T)
        if len(self._rows) >= self.GROUP:
            self._flush()

    def _flush(self) -> None:
        import pyarrow as pa

        if self._rows:
            named = zip(self._schema, zip(*self._rows, strict=True), strict=False)
            arrays = [pa.array([_valid(v) for v in column], type=field.type) for field, column in named]
            if self._blocks:
                arrays += [pa.array(column, from_pandas=True) for column in np.concatenate(self._blocks, axis=1)]
            self._parquet.write_table(pa.table(arrays, schema=self._schema))
            self._rows, self._blocks = [], []

    def _close(self) -> None:
        self._flush()
        self._parquet.close()


def _valid(value: str | float | bool | None) -> str | float | bool | None:
    """Parquet holds valid UTF-8 only: bytes of a file name that are none become U+FFFD."""
    if isinstance(value, str):
        return value.encode("utf-8", "surrogateescape").decode("utf-8", "replace")
    return value
