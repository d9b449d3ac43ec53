"""Several predictions files of the same images, matched by path and by class name."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from clsbench.errors import DataError
from clsbench.evaluation.comparison.pairwise import Answers
from clsbench.predictions.cells import Names
from clsbench.predictions.table import PredictionTable
from clsbench.text import counted, some


@dataclass(frozen=True)
class Matched:
    """The labelled images that every file has.

    Args:
        names: M paths, in the order of the first file.
        classes: K names, in the order of the first file.
        labels: int32 (M,), the true classes.
        answers: One a file: what it predicted, int32 (M,), by the first file's classes.
        notes: What was left out, and where it is missing.
    """

    names: Names
    classes: tuple[str, ...]
    labels: NDArray[np.int32]
    answers: tuple[Answers, ...]
    notes: tuple[str, ...]


def match(tables: Sequence[tuple[str, PredictionTable]]) -> Matched:
    """Match predictions files by the paths of their images and the names of their classes.

    Args:
        tables: Name and content, at least two.

    Raises:
        DataError: if class lists differ, no labelled image is in all files, or files
            disagree about a label.
    """
    first_name, first = tables[0]
    maps = [_class_map(first_name, first, name, table) for name, table in tables]
    rows = [np.arange(len(first.names)), *(_positions(first.names, table.names) for _, table in tables[1:])]
    common = np.flatnonzero(np.all([row >= 0 for row in rows], axis=0))
    notes = [note for (name, table), row in zip(tables[1:], rows[1:], strict=True)
             for note in _missing(first_name, first, name, table, row)]  # fmt: skip
    if not common.size:
        raise DataError(
            "the files have no image in common",
            where=" and ".join(name for name, _ in tables),
            got=f"{first.names[0]} in the first, {tables[1][1].names[0]} in the second",
            expected="the same paths: infer the same folder with each model",
        )
    labels = _labels(tables, maps, rows, common)
    judged = np.flatnonzero(labels >= 0)
    if not judged.size:
        raise DataError(
            "no image that the files have in common has a label",
            where=" and ".join(name for name, _ in tables),
            hint="give the labels with --labels FILE.csv (columns path,label)",
        )
    if judged.size < common.size:
        notes.append(f"left out: {counted(common.size - judged.size, 'image')} without a label")
    kept = common[judged]
    answers = tuple(
        Answers(name, _mapped(table.predicted[row[kept]], to))
        for (name, table), to, row in zip(tables, maps, rows, strict=True)
    )
    for answer in answers:
        if failed := int((answer.predicted < 0).sum()):
            images = f"{counted(failed, 'image')} that {answer.name} could not classify"
            notes.append(f"counted as wrong, where evaluate leaves them out: {images}")
    return Matched(first.names.take(kept), first.classes, labels[judged], answers, tuple(notes))


def _class_map(first_name: str, first: PredictionTable, name: str, table: PredictionTable) -> NDArray[np.int32]:
    """int32 (K + 1,): a file's class index to the first file's; -1 stays -1, as the last entry."""
    if set(first.classes) != set(table.classes):
        here = [c for c in first.classes if c not in set(table.classes)]
        there = [c for c in table.classes if c not in set(first.classes)]
        raise DataError(
            "files of different classes cannot be compared",
            where=f"{first_name} and {name}",
            got="; ".join(f"only in {n}: {some(c)}" for n, c in ((first_name, here), (name, there)) if c),
            expected="models of the same classes",
            code="CB-L005",
        )
    index = {c: k for k, c in enumerate(first.classes)}
    return np.array([*(index[c] for c in table.classes), -1], np.int32)


def _mapped(classes: NDArray[np.int32], to: NDArray[np.int32]) -> NDArray[np.int32]:
    return to[classes]


def _positions(names: Names, others: Names) -> NDArray[np.int64]:
    """int64 (N,): the position of each name among the others, -1 where it is not there."""
    import pyarrow.compute as pc

    found = pc.index_in(names.column, others.column)
    return np.asarray(pc.fill_null(found, -1).to_numpy(zero_copy_only=False), np.int64)


def _missing(
    first_name: str, first: PredictionTable, name: str, table: PredictionTable, rows: NDArray[np.int64]
) -> list[str]:
    notes = []
    absent = np.flatnonzero(rows < 0)
    if absent.size:
        examples = some([first.names[int(i)] for i in absent[:3]])
        notes.append(f"left out: {counted(absent.size, 'image')} of {first_name} not in {name}, such as {examples}")
    seen = np.zeros(len(table.names), bool)
    seen[rows[rows >= 0]] = True
    more = np.flatnonzero(~seen)
    if more.size:
        examples = some([table.names[int(i)] for i in more[:3]])
        notes.append(f"left out: {counted(more.size, 'image')} of {name} not in {first_name}, such as {examples}")
    return notes


def _labels(
    tables: Sequence[tuple[str, PredictionTable]],
    maps: Sequence[NDArray[np.int32]],
    rows: Sequence[NDArray[np.int64]],
    common: NDArray[np.int64],
) -> NDArray[np.int32]:
    """The labels of the common images, from whichever file has them."""
    labels = np.full(common.size, -1, np.int32)
    for (name, table), to, row in zip(tables, maps, rows, strict=True):
        given = _mapped(table.labels[row[common]], to)
        disputed = np.flatnonzero((labels >= 0) & (given >= 0) & (labels != given))
        if disputed.size:
            at = int(disputed[0])
            classes = tables[0][1].classes
            raise DataError(
                f"the files disagree about {counted(disputed.size, 'label')}",
                where=tables[0][1].names[int(common[at])],
                got=f"{classes[labels[at]]} in an earlier file, {classes[given[at]]} in {name}",
                hint="give the labels of all with --labels FILE.csv",
                code="CB-L003",
            )
        labels = np.where(labels >= 0, labels, given)
    return labels
