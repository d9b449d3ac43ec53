"""TableBuilder: batches of Arrow columns to one :class:`PredictionTable`."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from clsbench.errors import DataError
from clsbench.predictions.best_classes import look_up
from clsbench.predictions.block import PREFIX, RANKED
from clsbench.predictions.checks import check_fractions, check_probabilities, check_unique, text
from clsbench.predictions.classes import ClassIndex
from clsbench.predictions.names import Names
from clsbench.predictions.spill import Blocks, Scratch
from clsbench.predictions.table import HALF_DIGIT, PredictionTable


class TableBuilder:
    """Gathers the rows of a file.

    Args:
        file: That is being read, for messages.
        index: Of the classes.
        probabilities: The classes in their order, where the file has the probabilities of all.
        scratch: Where the probabilities go.
    """

    def __init__(self, file: Path, index: ClassIndex, probabilities: Sequence[str] | None, scratch: Scratch) -> None:
        self._file, self._index, self._scratch = file, index, scratch
        self._columns = [PREFIX + name for name in probabilities or ()]
        self._blocks = Blocks(scratch, len(self._columns))
        self._names: list[Any] = []
        self._parts: dict[str, list[NDArray[Any]]] = {}
        self._errors: dict[str, str] = {}

    def add(self, batch: Mapping[str, Any]) -> None:
        """Take a batch.

        Args:
            batch: Our column name -> Arrow array.

        Raises:
            DataError: for a row without a path, a strange class, or numbers that are no probabilities.
        """
        names = batch["path"]
        if names.null_count:
            raise DataError("rows have no path", where=self._file, got=f"{names.null_count} of them")
        self._names.append(names)
        codes = {
            name: self._index.codes(column, name, self._file)
            for name, column in batch.items()
            if name in ("label", "predicted") or name.startswith("top")
        }
        block = np.stack([_floats(batch[name]) for name in self._columns]) if self._columns else None
        predicted = codes["predicted"] if "predicted" in codes else _best(block)
        failed = predicted < 0
        self._keep_reasons(np.flatnonzero(failed), batch.get("error"), names)
        self._gather("label", codes.get("label", np.full(len(names), -1, np.int32)))
        self._gather("ranked", self._ranked(predicted, codes, names))
        if block is not None:
            check_probabilities(block, failed, names, self._file)
            self._blocks.append(block)
            return
        for name in ("confidence", "label_confidence"):
            if name in batch:
                values = np.where(failed, np.nan, _floats(batch[name]))
                check_fractions(values, name, names, self._file)
                self._gather(name, values)

    def _gather(self, name: str, values: NDArray[Any]) -> None:
        self._parts.setdefault(name, []).append(values)

    def _keep_reasons(self, rows: NDArray[np.int64], errors: Any, names: Any) -> None:
        """Why images were not classified. What stands in that column beside a prediction is none of ours."""
        for row in rows.tolist():
            reason = errors[row].as_py() if errors is not None else None
            self._errors[text(names[row])] = reason.decode("utf-8", "replace") if reason else "no prediction"

    def _ranked(
        self, predicted: NDArray[np.int32], codes: Mapping[str, NDArray[np.int32]], names: Any
    ) -> NDArray[np.int32]:
        """int32 (n, R): the predicted class, then those of the columns top2, top3 …"""
        differs = np.flatnonzero((predicted >= 0) & (codes.get("top1", predicted) != predicted))
        if differs.size:
            raise DataError(
                "predicted and top1 are not the same class", where=self._file, got=text(names[int(differs[0])])
            )
        columns = [predicted]
        while (name := f"top{len(columns) + 1}") in codes and len(columns) < RANKED:
            columns.append(np.where(predicted < 0, np.int32(-1), codes[name]))
        return np.stack(columns, axis=1)

    def names(self) -> Names:
        """The paths of all rows.

        Raises:
            DataError: if there are no rows, or a path stands twice.
        """
        import pyarrow as pa

        column = pa.concat_arrays(self._names) if self._names else []
        if not len(column):
            raise DataError("the predictions file has no rows", where=self._file)
        self._names = []
        check_unique(column, self._file)
        return Names(column)

    def table(
        self, names: Names, given: NDArray[np.int32] | None, manifest: Mapping[str, Any], notes: Sequence[str]
    ) -> PredictionTable:
        """Everything that was gathered.

        Args:
            names: From :meth:`names`.
            given: int32 (N,), labels in place of the file's own.
            manifest: Of the file.
            notes: For the user.
        """
        classes, order = self._index.finished()
        columns = {name: np.concatenate(self._parts.pop(name)) for name in list(self._parts)}
        labels, ranked = order[columns["label"] if given is None else given], order[columns["ranked"]]
        matrix, more = self._blocks.joined() if self._columns else None, []
        if matrix is not None:
            found = look_up(matrix, ranked[:, 0], labels)
            ranked, confidence, of_label = found.ranked, found.confidence, found.label_confidence
            if found.surprises:
                more.append(f"in {found.surprises} rows the predicted class is not the most probable one")
        else:
            confidence = columns.get("confidence", np.full(len(names), np.nan))
            same = np.where((labels == ranked[:, 0]) & (labels >= 0), confidence, np.nan)
            of_label = columns.get("label_confidence", same) if given is None else same
            if zeros := int((of_label == 0).sum()):
                more.append(f"in {zeros} rows the true class has the probability 0, rounded; it counts as {HALF_DIGIT}")
        return PredictionTable(
            file=self._file, names=names, classes=classes, labels=labels, ranked=ranked, confidence=confidence,
            label_confidence=of_label, probabilities=matrix, errors=self._errors, manifest=manifest,
            notes=(*notes, *more), scratch=self._scratch,
        )  # fmt: skip


def _floats(column: Any) -> NDArray[Any]:
    """An Arrow array of numbers; NaN for null."""
    values: NDArray[Any] = column.to_numpy(zero_copy_only=False)
    return values


def _best(block: NDArray[np.float32] | None) -> NDArray[np.int32]:
    """The most probable class of each image, -1 where there is none."""
    assert block is not None  # a file without predicted classes has the probabilities
    unknown = np.isnan(block).any(axis=0)
    return np.where(unknown, -1, np.where(unknown, 0, block).argmax(axis=0)).astype(np.int32)
