"""Predictions as Arrow tables: the columns of the Parquet file, in memory."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from clsbench.errors import DataError
from clsbench.predictions.block import Predictions
from clsbench.predictions.columns import FEATURES, Row, class_columns, positions, rows
from clsbench.predictions.columns import columns as every_column

if TYPE_CHECKING:
    import pyarrow as pa

#: Rows, probabilities and features gathered before they become a table: features are 16 MB then.
GROUP, GROUP_VALUES, GROUP_FEATURES = 16384, 1 << 26, 1 << 22


def group_size(columns: int, feature_dim: int) -> int:
    """Rows of a group, by how many columns with the probabilities of classes there are, and how many features."""
    return min(GROUP, max(1, GROUP_VALUES // max(1, columns)), max(1, GROUP_FEATURES // max(1, feature_dim)))


class ArrowCollector:
    """Gathers predictions as Arrow tables.

    Args:
        classes: K names.
        topk: Columns for so many of the best classes.
        probabilities: Columns for the probabilities of all classes.
        columns: The other columns, in their order; all of them if empty.
        abstain_below: The threshold of the model's card, if it has one: a column more.
        binary_paths: Paths as bytes, for names that are not UTF-8.
        feature_dim: D, for a column of features: a list of D float32, NaN where an image was not classified.
    """

    def __init__(
        self,
        classes: tuple[str, ...],
        *,
        topk: int = 0,
        probabilities: bool = False,
        columns: Sequence[str] = (),
        abstain_below: float | None = None,
        binary_paths: bool = False,
        feature_dim: int | None = None,
    ) -> None:
        import pyarrow as pa

        self._classes, self._topk, self._probabilities = classes, min(topk, len(classes)), probabilities
        self._feature_dim = feature_dim
        self._size = group_size(len(classes) if probabilities else 0, feature_dim or 0)
        self._abstain_below, abstaining = abstain_below, abstain_below is not None
        self._positions = positions(columns, self._topk, abstaining)
        every = every_column(self._topk, abstaining)
        fields = [(every[k].name, pa.type_for_alias(every[k].written)) for k in self._positions]
        if binary_paths:
            fields = [(name, pa.binary() if name == "path" else kind) for name, kind in fields]
        fields += [(name, pa.float32()) for name in class_columns(classes if probabilities else ())]
        if feature_dim:  # its numbers are called as Parquet calls them, so that the file reads back as this schema
            fields.append((FEATURES, pa.list_(pa.field("element", pa.float32()), feature_dim)))
        self.schema = pa.schema(fields)
        self._rows: list[Row] = []
        self._blocks: list[NDArray[np.float32]] = []
        self._features: list[NDArray[np.float32]] = []
        self._groups: list[pa.Table] = []

    def write(self, predictions: Predictions) -> None:
        """Append a block."""
        self._rows += rows(predictions, self._classes, self._topk, self._abstain_below)
        if self._probabilities:
            self._blocks.append(predictions.probabilities.T)
        if self._feature_dim:
            assert predictions.features is not None
            self._features.append(predictions.features)
        while len(self._rows) >= self._size:
            self._close_group()

    def take(self) -> list[pa.Table]:
        """The full groups of rows, which are let go."""
        groups, self._groups = self._groups, []
        return groups

    def table(self) -> pa.Table:
        """Everything that was not taken: the columns, types and values of a Parquet file of the same predictions."""
        import pyarrow as pa

        if self._rows:
            self._close_group()
        return pa.concat_tables([self.schema.empty_table(), *self._groups])

    def _close_group(self) -> None:
        import pyarrow as pa

        # Of one size always: the file does not tell in which blocks the rows came.
        rows, self._rows = self._rows[: self._size], self._rows[self._size :]
        by_column = list(zip(*rows, strict=True))
        arrays = [
            _array(by_column[k], self.schema.field(place), exact=k == 0) for place, k in enumerate(self._positions)
        ]
        if self._probabilities:
            values = np.concatenate(self._blocks, axis=1)
            self._blocks = [values[:, len(rows) :]]
            arrays += [pa.array(column, from_pandas=True) for column in values[:, : len(rows)]]
        if self._feature_dim:
            features = np.concatenate(self._features)
            self._features = [features[len(rows) :]]
            flat = pa.array(features[: len(rows)].ravel(), pa.float32())
            arrays.append(pa.FixedSizeListArray.from_arrays(flat, type=self.schema.field(FEATURES).type))
        self._groups.append(pa.table(arrays, schema=self.schema))


def _array(values: Sequence[str | float | None], field: pa.Field, *, exact: bool) -> pa.Array:
    """A column of an Arrow table; ``exact`` for the names of images."""
    import pyarrow as pa

    if pa.types.is_binary(field.type):
        return pa.array([str(value).encode("utf-8", "surrogateescape") for value in values], field.type)
    if not pa.types.is_string(field.type):
        return pa.array(values, field.type)
    try:
        return pa.array(values, field.type)
    except UnicodeEncodeError:
        if exact:
            raise DataError(
                "a file name is not UTF-8, which Parquet's text cannot hold",
                got=next(str(value) for value in values if not is_utf8(str(value))),
                hint="with binary_paths=True the column path is bytes",
            ) from None
        return pa.array([_valid(value) for value in values], field.type)


def is_utf8(name: str) -> bool:
    """Whether a file name is text; Python keeps other bytes as half surrogate pairs."""
    try:
        name.encode()
    except UnicodeEncodeError:
        return False
    return True


def _valid(value: str | float | None) -> str | float | None:
    """Arrow texts are valid UTF-8: bytes of a path in a message that are not become U+FFFD."""
    if isinstance(value, str):
        return value.encode("utf-8", "surrogateescape").decode("utf-8", "replace")
    return value
