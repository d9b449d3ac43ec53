"""Prediction files in Apache Parquet: one file, or a folder of parts for jobs whose one file would be unwieldy.

A folder holds ``part-00000.parquet`` and so on, each a whole file of so many rows, and ``_common_metadata`` with the
schema and what is known about the job. Spark, DuckDB, pandas and pyarrow's ``dataset`` read it as one table.
"""

from __future__ import annotations

import json
import os
from pathlib import Path
from typing import TYPE_CHECKING, BinaryIO

from clsbench.card import ModelCard
from clsbench.errors import DataError, OptionError
from clsbench.output_files import check_folder, sync
from clsbench.output_folder import WholeFolder
from clsbench.predictions.arrow import ArrowCollector, is_utf8
from clsbench.predictions.block import Predictions
from clsbench.predictions.manifest import METADATA_KEY, Manifest
from clsbench.predictions.parts import COMMON, other_files, part_name
from clsbench.predictions.writers import FileWriter

if TYPE_CHECKING:
    import pyarrow as pa
    import pyarrow.parquet as pq

#: Rows of a part.
PART_ROWS = 1_000_000


class ParquetWriter(FileWriter):
    """Apache Parquet, written in groups of rows; null where there is no value.

    Args:
        path, card, topk, probabilities, columns: As for every writer.
        binary_paths: Write paths as bytes, for names that are not UTF-8, which Parquet's text cannot hold.
        features: A column with the features of each image, of which the card says how many there are.
    """

    def __init__(
        self,
        path: Path | BinaryIO,
        card: ModelCard,
        *,
        topk: int = 0,
        probabilities: bool = False,
        columns: tuple[str, ...] = (),
        binary_paths: bool = False,
        features: bool = False,
    ) -> None:
        super().__init__(path, card, topk=topk, probabilities=probabilities, columns=columns)
        self.binary_paths = binary_paths
        self.feature_dim = card.feature_dim if features else None

    def _check(self) -> None:
        super()._check()
        require_utf8(self.path)

    def describe(self, manifest: Manifest) -> None:
        """Keep what is known about the job in the file itself, before it is closed."""
        self._parquet.add_key_value_metadata({METADATA_KEY: json.dumps(manifest.to_json())})

    def _open(self) -> None:
        self._rows = ArrowCollector(
            self.classes, topk=self.topk, probabilities=self.probabilities, columns=self.columns,
            abstain_below=self.abstain_below, binary_paths=self.binary_paths, feature_dim=self.feature_dim,
        )  # fmt: skip
        self._begin()

    def _begin(self) -> None:
        """Open the file."""
        self._parquet = self._opened(self._partial)

    def _opened(self, file: Path) -> pq.ParquetWriter:
        import pyarrow.parquet as pq

        return pq.ParquetWriter(file, self._rows.schema)

    def _append(self, predictions: Predictions) -> None:
        self._rows.write(predictions)
        for group in self._rows.take():
            self._put(group)

    def _put(self, table: pa.Table) -> None:
        self._parquet.write_table(table)

    def _finish(self) -> None:
        if (rest := self._rows.table()).num_rows:
            self._put(rest)

    def _close(self) -> None:
        self._parquet.close()


def require_utf8(path: Path) -> None:
    """Refuse a path that Arrow cannot open.

    Raises:
        DataError: if it is not UTF-8.
    """
    if not is_utf8(os.path.realpath(path)):
        raise DataError(
            "Parquet files need a path in UTF-8", where="--out", got=path, hint="choose another path, or write CSV"
        )


class ParquetPartsWriter(ParquetWriter):
    """A folder of Parquet files.

    Args:
        path, card, topk, probabilities, columns, binary_paths, features: As for :class:`ParquetWriter`.
        part_rows: Rows of each part but the last.

    Raises:
        OptionError: for parts without rows.
    """

    _whole: WholeFolder

    def __init__(
        self,
        path: Path | BinaryIO,
        card: ModelCard,
        *,
        topk: int = 0,
        probabilities: bool = False,
        columns: tuple[str, ...] = (),
        binary_paths: bool = False,
        features: bool = False,
        part_rows: int = PART_ROWS,
    ) -> None:
        if part_rows < 1:
            raise OptionError("a part has rows", where="writer.part_rows", got=part_rows, expected="1 or more")
        super().__init__(
            path, card, topk=topk, probabilities=probabilities, columns=columns, binary_paths=binary_paths,
            features=features,
        )  # fmt: skip
        self.part_rows = part_rows
        self._parts = self._left = 0
        self._part: pq.ParquetWriter | None = None
        self._told: dict[bytes, bytes] = {}

    def describe(self, manifest: Manifest) -> None:
        """Keep what is known about the job in the folder."""
        self._told = {METADATA_KEY.encode(): json.dumps(manifest.to_json()).encode()}

    def _whole_output(self) -> WholeFolder:
        return WholeFolder(self.path, "the predictions", other_files)

    def _check(self) -> None:
        check_folder(self.path, self._whole.what)
        require_utf8(self.path)

    def _begin(self) -> None:
        """Parts are opened when there are rows for them."""

    def _put(self, table: pa.Table) -> None:
        while table.num_rows:
            if self._part is None:
                self._open_part()
            assert self._part is not None
            self._part.write_table(table.slice(0, self._left))
            table, self._left = table.slice(self._left), max(0, self._left - table.num_rows)
            if not self._left:
                self._close_part()

    def _open_part(self) -> None:
        self._part = self._opened(self._partial / part_name(self._parts))
        self._parts, self._left = self._parts + 1, self.part_rows

    def _close_part(self) -> None:
        if self._part is not None:
            part, self._part = self._part, None
            part.close()
            sync(self._partial / part_name(self._parts - 1))

    def _finish(self) -> None:
        import pyarrow.parquet as pq

        super()._finish()
        if not self._parts:
            self._open_part()
        pq.write_metadata(self._rows.schema.with_metadata(self._told), self._partial / COMMON)
        sync(self._partial / COMMON)

    def _close(self) -> None:
        self._close_part()
