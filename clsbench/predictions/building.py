"""TableBuilder: batches of Arrow columns to one :class:`PredictionTable`."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from clsbench.errors import DataError
from clsbench.predictions.best_classes import look_up
from clsbench.predictions.cells import ClassIndex, Names, check_fractions, check_probabilities, check_unique
from clsbench.predictions.columns import class_columns
from clsbench.predictions.manifest import Manifest
from clsbench.predictions.outcomes import RANKED
from clsbench.predictions.spill import Blocks, Spill
from clsbench.predictions.table import HALF_DIGIT, PredictionTable
from clsbench.text import counted

if TYPE_CHECKING:
    import pyarrow as pa


class TableBuilder:
    """Gathers the rows of a file.

    Args:
        file: The file that is read, for messages.
        index: Index of the classes.
        probabilities: The K classes in their order, where the file has the probabilities of all.
        spill: Where the probabilities go.
    """

    def __init__(self, file: Path, index: ClassIndex, probabilities: Sequence[str] | None, spill: Spill) -> None:
        self._file, self._index, self._spill = file, index, spill
        self._columns = class_columns(probabilities or ())
        self._blocks = Blocks(spill, len(self._columns))
        self._names: list[pa.LargeBinaryArray] = []
        self._codes: dict[str, list[NDArray[np.int32]]] = {"label": [], "ranked": []}
        self._fractions: dict[str, list[NDArray[np.float64]]] = {}
        self._abstained: list[NDArray[np.bool_]] = []
        self._errors: dict[str, str] = {}

    def add(self, batch: Mapping[str, pa.Array]) -> None:
        """Take a batch.

        Args:
            batch: Our column name -> Arrow array.

        Raises:
            DataError: for a row without a path, an unknown class, or numbers that are not probabilities.
        """
        if missing := batch["path"].null_count:
            raise DataError("rows have no path", where=self._file, got=f"{missing} of them")
        self._names.append(batch["path"])
        names = Names(batch["path"])
        codes = {
            name: self._index.codes(column, name, self._file)
            for name, column in batch.items()
            if name in ("label", "predicted") or name.startswith("top")
        }
        block = _block([batch[name] for name in self._columns]) if self._columns else None
        predicted = codes["predicted"] if "predicted" in codes else _best(block)
        failed = predicted < 0
        self._keep_reasons(np.flatnonzero(failed), batch.get("error"), names)
        self._codes["label"].append(codes.get("label", np.full(len(names), -1, np.int32)))
        self._codes["ranked"].append(self._ranked(predicted, codes, names))
        if (flags := batch.get("abstained")) is not None:
            self._abstained.append(flags.fill_null(False).to_numpy(zero_copy_only=False))
        if block is not None:
            check_probabilities(block, failed, names, self._file)
            self._blocks.append(block)
            return
        for name in ("confidence", "label_confidence"):
            if name in batch:
                values = np.where(failed, np.nan, _floats(batch[name]))
                check_fractions(values, name, names, self._file)
                self._fractions.setdefault(name, []).append(values)

    def _keep_reasons(self, rows: NDArray[np.int64], errors: pa.Array | None, names: Names) -> None:
        """Why images were not classified. In that column beside a prediction another tool may keep anything."""
        for row in rows.tolist():
            reason = errors[row].as_py() if errors is not None else None
            self._errors[names[row]] = reason.decode("utf-8", "replace") if reason else "no prediction"

    def _ranked(
        self, predicted: NDArray[np.int32], codes: Mapping[str, NDArray[np.int32]], names: Names
    ) -> NDArray[np.int32]:
        """int32 (n, R): the predicted class, then those of the columns top2, top3 …"""
        differs = np.flatnonzero((predicted >= 0) & (codes.get("top1", predicted) != predicted))
        if differs.size:
            raise DataError("predicted and top1 differ", where=self._file, got=names[int(differs[0])])
        columns = [predicted]
        while (name := f"top{len(columns) + 1}") in codes and len(columns) < RANKED:
            columns.append(np.where(predicted < 0, np.int32(-1), codes[name]))
        return np.stack(columns, axis=1)

    def names(self) -> Names:
        """The paths of all rows.

        Raises:
            DataError: if there are no rows, or a path occurs twice.
        """
        import pyarrow as pa

        names = Names(pa.concat_arrays(self._names) if self._names else ())
        if not len(names):
            raise DataError("the predictions file has no rows", where=self._file)
        self._names = []
        check_unique(names, self._file)
        return names

    def table(
        self, names: Names, given: NDArray[np.int32] | None, manifest: Manifest, notes: Sequence[str]
    ) -> PredictionTable:
        """Everything that was gathered.

        Args:
            names: From :meth:`names`.
            given: int32 (N,), labels in place of the file's own.
            manifest: Manifest of the file.
            notes: Notes for the user.
        """
        classes, order = self._index.finished()
        codes = {name: np.concatenate(self._codes.pop(name)) for name in ("label", "ranked")}
        labels, ranked = order[codes["label"] if given is None else given], order[codes["ranked"]]
        matrix, more = self._blocks.joined() if self._columns else None, []
        if matrix is not None:
            found = look_up(matrix, ranked[:, 0], labels)
            ranked, confidence, of_label = found.ranked, found.confidence, found.label_confidence
            if found.surprises:
                more.append(f"in {counted(found.surprises, 'row')} the predicted class is not the most probable one")
        else:
            fractions = {name: np.concatenate(parts) for name, parts in self._fractions.items()}
            confidence = fractions.get("confidence", np.full(len(names), np.nan))
            same = np.where((labels == ranked[:, 0]) & (labels >= 0), confidence, np.nan)
            of_label = fractions.get("label_confidence", same) if given is None else same
            if zeros := int((of_label == 0).sum()):
                more.append(
                    f"in {counted(zeros, 'row')} the true class has a probability of 0, counted as {HALF_DIGIT}"
                )
        return PredictionTable(
            file=self._file, names=names, classes=classes, labels=labels, ranked=ranked, confidence=confidence,
            label_confidence=of_label, probabilities=matrix, errors=self._errors,
            abstained=np.concatenate(self._abstained) if self._abstained else None, manifest=manifest,
            notes=(*notes, *more), spill=self._spill,
        )  # fmt: skip


def _floats(column: pa.Array) -> NDArray[np.float64]:
    """An Arrow array of numbers, NaN for null."""
    values: NDArray[np.float64] = column.to_numpy(zero_copy_only=False)
    return values


def _block(columns: Sequence[pa.Array]) -> NDArray[np.float32]:
    """float32 (K, n) of K float32 arrays, NaN for null."""
    return np.stack([column.to_numpy(zero_copy_only=False) for column in columns])


def _best(block: NDArray[np.float32] | None) -> NDArray[np.int32]:
    """The most probable class of each image, -1 where there is none."""
    assert block is not None  # a file without predicted classes has the probabilities
    unknown = np.isnan(block).any(axis=0)
    return np.where(unknown, -1, np.where(unknown, 0, block).argmax(axis=0)).astype(np.int32)
