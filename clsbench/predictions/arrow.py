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


class ArrowCollector:
    """Gathers predictions as Arrow tables.

    Args:
        classes: K names.
        topk: Columns for so many of the best classes.
        probabilities: Columns for the probabilities of all classes.
    """

    def __init__(self, classes: tuple[str, ...], *, topk: int = 0, probabilities: bool = False) -> None:
        import pyarrow as pa

        self._classes, self._topk, self._probabilities = classes, min(topk, len(classes)), probabilities
        self._size = min(GROUP, max(1, GROUP_VALUES // len(classes))) if probabilities else GROUP
        fields = [(column.name, pa.type_for_alias(column.written)) for column in columns(self._topk)]
        fields += [(name, pa.float32()) for name in class_columns(classes if probabilities else ())]
        self.schema = pa.schema(fields)
        self._rows: list[Row] = []
        self._blocks: list[NDArray[np.float32]] = []
        self._groups: list[pa.Table] = []

    def write(self, predictions: Predictions) -> None:
        """Append a block."""
        self._rows += rows(predictions, self._classes, self._topk)
        if self._probabilities:
            self._blocks.append(predictions.probabilities.T)
        if len(self._rows) >= self._size:
            self._close_group()

    def take(self) -> list[pa.Table]:
        """The full groups of rows, which are let go."""
        groups, self._groups = self._groups, []
        return groups

    def table(self) -> pa.Table:
        """Everything that was not taken: the columns, types and values of a Parquet file of the same predictions."""
        import pyarrow as pa

        self._close_group()
        return pa.concat_tables([self.schema.empty_table(), *self._groups])

    def _close_group(self) -> None:
        import pyarrow as pa

        if not self._rows:
            return
        arrays = [
            pa.array([_valid(v) for v in column] if pa.types.is_string(field.type) else column, type=field.type)
            for field, column in zip(self.schema, zip(*self._rows, strict=True), strict=False)
        ]
        if self._probabilities:
            arrays += [pa.array(column, from_pandas=True) for column in np.concatenate(self._blocks, axis=1)]
        self._rows, self._blocks = [], []
        self._groups.append(pa.table(arrays, schema=self.schema))


def _valid(value: str | float | None) -> str | float | None:
    """Arrow texts are valid UTF-8: bytes of a file name that are not become U+FFFD."""
    if isinstance(value, str):
        return value.encode("utf-8", "surrogateescape").decode("utf-8", "replace")
    return value
