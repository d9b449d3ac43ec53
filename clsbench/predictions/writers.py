"""Prediction files: CSV and JSON lines, with the columns of :mod:`clsbench.predictions.columns`, and what all share.

With ``probabilities`` a column ``p:<class>`` for each class follows (JSON lines: one object ``probabilities``), not
rounded: the text reads back as the same float32. A file is written under a name that ends in ``.partial`` and gets
its own when it is complete; a failure removes it. CSV and JSON lines can also be streamed, block by block.
"""

from __future__ import annotations

import codecs
import csv
import json
from collections.abc import Iterator, Sequence
from contextlib import suppress
from io import IOBase
from pathlib import Path
from types import TracebackType
from typing import TYPE_CHECKING, BinaryIO, ClassVar, Protocol, Self

import numpy as np
from numpy.typing import NDArray

from clsbench.card import ModelCard
from clsbench.output_files import WholeFile, check_writable
from clsbench.output_folder import WholeFolder
from clsbench.predictions.block import Predictions
from clsbench.predictions.columns import Row, class_columns, positions, rows
from clsbench.predictions.columns import columns as every_column
from clsbench.predictions.formulas import escaped

if TYPE_CHECKING:
    import pyarrow as pa


class _Text(Protocol):
    """What rows are written to."""

    def write(self, text: str, /) -> object:
        """Append a text."""


class FileWriter:
    """What the writers share, those of :mod:`clsbench.predictions.parquet_writers` too: the options, the partial file.

    Args:
        path: Path of the file, or an open stream, which stays open.
        card: Card of the model.
        topk: Columns for so many of the best classes.
        probabilities: Columns for the probabilities of all classes.
        columns: The other columns, in their order; all of them if empty.

    Raises:
        OptionError: for a column that there is not.
    """

    def __init__(
        self,
        path: Path | BinaryIO,
        card: ModelCard,
        *,
        topk: int = 0,
        probabilities: bool = False,
        columns: tuple[str, ...] = (),
    ) -> None:
        self.classes, self.topk = card.classes, min(topk, len(card.classes))
        self.columns = columns
        self.abstain_below, abstaining = card.abstain_below, card.abstain_below is not None
        self._positions = positions(columns, self.topk, abstaining)
        #: The names of the columns that are written, but for those of the probabilities.
        self._names = [every_column(self.topk, abstaining)[k].name for k in self._positions]
        self.probabilities = probabilities
        self._flags = [k for k, column in enumerate(every_column(0, abstaining)) if column.written == "bool"]
        self._stream = None if isinstance(path, Path) else path
        self.path = path if isinstance(path, Path) else Path("-")
        self._whole = self._whole_output()
        self._partial = self._whole.path
        self._file: _Text

    def __enter__(self) -> Self:
        if self._stream is not None:
            self._open()
            return self
        self._check()
        try:
            self._whole.begin()
            self._open()
        except OSError as error:
            self._whole.abandon()
            raise self._whole.unwritable(error) from None
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        try:
            if error is not None:
                with suppress(Exception):  # that error is the one to tell
                    self._close()
                return
            self._finish()
            self._close()
            if self._stream is None:
                self._whole.finish()
        except OSError as failure:
            with suppress(OSError):
                self._close()
            raise self._unwritable(failure) from None
        finally:
            if self._stream is None:
                self._whole.abandon(error)

    def _whole_output(self) -> WholeFile | WholeFolder:
        """What is written whole or not at all."""
        return WholeFile(self.path, "the predictions")

    def _check(self) -> None:
        """Refuse a path that cannot be written to."""
        check_writable(self.path, self._whole.what)

    def write(self, predictions: Predictions) -> None:
        """Append a block.

        Raises:
            DataError: if the file cannot be written, for example because the disk is full.
            BrokenPipeError: if nobody reads the stream any more.
        """
        try:
            self._append(predictions)
            if self._stream is not None:
                self._stream.flush()
        except OSError as error:
            raise self._unwritable(error) from None

    def _unwritable(self, error: OSError) -> Exception:
        return error if isinstance(error, BrokenPipeError) else self._whole.unwritable(error)

    #: File names need not be valid text; this is how they survive the round trip.
    odd_names: ClassVar[str] = "surrogateescape"

    def _open(self) -> None:
        if self._stream is not None:
            # No buffer of its own, which would close the stream once it is collected.
            self._file = codecs.getwriter("utf-8")(self._stream, self.odd_names)
        else:
            self._file = self._partial.open("w", encoding="utf-8", errors=self.odd_names, newline="")

    def _append(self, predictions: Predictions) -> None:
        raise NotImplementedError

    def _rows_of(self, predictions: Predictions) -> Iterator[Row]:
        return rows(predictions, self.classes, self.topk, self.abstain_below)

    def _finish(self) -> None:
        """Write what was held back."""

    def _close(self) -> None:
        if self._stream is not None:
            self._stream.flush()
        elif isinstance(self._file, IOBase):
            self._file.close()


class CsvWriter(FileWriter):
    """Comma-separated values, RFC 4180; empty where there is no value.

    Args:
        path, card, topk, probabilities, columns: As for every writer.
        escape_formulas: Put an apostrophe before texts that a spreadsheet would run.
    """

    def __init__(
        self,
        path: Path | BinaryIO,
        card: ModelCard,
        *,
        topk: int = 0,
        probabilities: bool = False,
        columns: tuple[str, ...] = (),
        escape_formulas: bool = False,
    ) -> None:
        super().__init__(path, card, topk=topk, probabilities=probabilities, columns=columns)
        self.escape_formulas = escape_formulas

    def _open(self) -> None:
        super()._open()
        self._csv = csv.writer(_Line(), lineterminator="\n")
        # The plain writer leaves a carriage return bare, and readers end the row there.
        self._quoting = csv.writer(_Line(), lineterminator="\n", quoting=csv.QUOTE_ALL)
        more = class_columns(self.classes if self.probabilities else ())
        self._file.write(self._line([*self._names, *more]) + "\n")

    def _append(self, predictions: Predictions) -> None:
        text, flags = {True: "true", False: "false"}, self._flags
        ends = self._numbers(predictions) if self.probabilities else [""] * len(predictions.names)
        for row, end in zip(self._rows_of(predictions), ends, strict=True):
            for place in flags:
                value = row[place]
                row[place] = text[value] if isinstance(value, bool) else None
            if self.columns:
                row = [row[k] for k in self._positions]
            if self.escape_formulas:
                row = [escaped(value) if isinstance(value, str) else value for value in row]
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
    """A file that returns what is written, as csv's writerow returns what write returns."""

    def write(self, text: str) -> str:
        return text


class JsonlWriter(FileWriter):
    """One JSON object a line; null where there is no value."""

    odd_names = "backslashreplace"

    def _append(self, predictions: Predictions) -> None:
        lines = (
            json.dumps({name: row[k] for name, k in zip(self._names, self._positions, strict=True)}, ensure_ascii=False)
            for row in self._rows_of(predictions)
        )
        if self.probabilities:
            pairs = zip(lines, self._objects(predictions), strict=True)
            lines = (f'{line[:-1]}, "probabilities": {text}}}' for line, text in pairs)
        for line in lines:
            self._file.write(f"{line}\n")

    def _objects(self, predictions: Predictions) -> Iterator[str]:
        """The JSON of each image's probabilities, null after an error."""
        keys = (json.dumps(name, ensure_ascii=False).replace("%", "%%") for name in self.classes)
        template = f"{{{', '.join(f'{key}: %s' for key in keys)}}}"
        texts, count = _number_texts(predictions.probabilities).to_pylist(), len(self.classes)
        for start in range(0, len(texts), count):
            yield template % tuple(texts[start : start + count]) if texts[start] is not None else "null"


def _number_texts(values: NDArray[np.float32]) -> pa.StringArray:
    """The shortest texts that read back as the same float32; null for NaN."""
    import pyarrow as pa

    return pa.array(values.ravel(), from_pandas=True).cast(pa.string())
