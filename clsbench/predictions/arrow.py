"""Predictions as Arrow tables: the columns of the Parquet file, in memory."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from clsbench.predictions.block import Predictions
from clsbench.predictions.columns import Row, class_columns, columns, rows

if TYPE_CHECKING:
    import pyarrow as pa

#: Rows, and probabilities, gathered before they become a table.
GROUP, GROUP_VALUES = 16384, 1 << 26


class ArrowGroups:
    """Gathers blocks until they fill a group of rows.

    Args:
        classes: K names.
        topk: Columns for so many of the best classes.
        probabilities: Columns for the probabilities of all classes.
    """

    def __init__(self, classes: tuple[str, ...], *, topk: int = 0, probabilities: bool = False) -> None:
        import pyarrow as pa

        self._classes, self._topk = classes, min(topk, len(classes))
        self._size = min(GROUP, max(1, GROUP_VALUES // len(classes))) if probabilities else GROUP
        fields = [(column.name, pa.type_for_alias(column.written)) for column in columns(self._topk)]
        self._listed = len(fields)
        fields += [(name, pa.float32()) for name in class_columns(classes if probabilities else ())]
        self.schema = pa.schema(fields)
        self._rows: list[Row] = []
        self._blocks: list[NDArray[np.float32]] = []

    def add(self, predictions: Predictions) -> pa.Table | None:
        """Take a block; returns the group once it is full."""
        self._rows += rows(predictions, self._classes, self._topk)
        if len(self.schema) > self._listed:
            self._blocks.append(predictions.probabilities.T)
        return self.rest() if len(self._rows) >= self._size else None

    def rest(self) -> pa.Table:
        """The rows since the last full group."""
        import pyarrow as pa

        if not self._rows:
            return self.schema.empty_table()
        listed = zip(self.schema, zip(*self._rows, strict=True), strict=False)
        arrays = [
            pa.array([_valid(v) for v in column] if pa.types.is_string(field.type) else column, type=field.type)
            for field, column in listed
        ]
        if self._blocks:
            arrays += [pa.array(column, from_pandas=True) for column in np.concatenate(self._blocks, axis=1)]
        self._rows, self._blocks = [], []
        return pa.table(arrays, schema=self.schema)


class ArrowCollector:
    """A consumer of predictions that keeps them as one Arrow table.

    Args:
        classes: K names.
        topk: Columns for so many of the best classes.
        probabilities: Columns for the probabilities of all classes.
    """

    def __init__(self, classes: tuple[str, ...], *, topk: int = 0, probabilities: bool = False) -> None:
        self._groups = ArrowGroups(classes, topk=topk, probabilities=probabilities)
        self._full: list[pa.Table] = []

    def write(self, predictions: Predictions) -> None:
        """Append a block."""
        if (group := self._groups.add(predictions)) is not None:
            self._full.append(group)

    def table(self) -> pa.Table:
        """Everything so far: the columns, types and values of a Parquet file of the same predictions."""
        import pyarrow as pa

        self._full.append(self._groups.rest())
        return pa.concat_tables(self._full)


def _valid(value: str | float | None) -> str | float | None:
    """Arrow texts are valid UTF-8: bytes of a file name that are not become U+FFFD."""
    if isinstance(value, str):
        return value.encode("utf-8", "surrogateescape").decode("utf-8", "replace")
    return value
