"""The columns of a predictions file: names, order, types and values. Writers and reader follow this one list.

    path, label, predicted, confidence, label_confidence, correct, error, reason[, abstained][, top1, p1 … topK, pK]

Confidences are probabilities, rounded to six places. ``abstained`` is there where the model has a threshold: true for
a confidence below it. A column ``p:<class>`` for each class may follow, and in Parquet a column ``features``.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Literal

import numpy as np

from clsbench.errors import OptionError
from clsbench.predictions.abstaining import as_written
from clsbench.predictions.block import Predictions

#: In a predictions file the probability of class ``cat`` is in the column ``p:cat``.
PREFIX = "p:"

#: The column of Parquet files with what goes into the network's head, a list of float32.
FEATURES = "features"

#: How a column is read: bytes (file names need not be text), codes of a dictionary of texts,
#: float64, float32, bool.
Kind = Literal["bytes", "codes", "number", "probability", "flag"]

Row = list[str | float | bool | None]


@dataclass(frozen=True)
class Column:
    """A column: its name, its Arrow type when written, and how it is read, None where it is not."""

    name: str
    written: Literal["string", "double", "bool"]
    read: Kind | None


COLUMNS = (
    Column("path", "string", "bytes"),
    Column("label", "string", "codes"),
    Column("predicted", "string", "codes"),
    Column("confidence", "double", "number"),
    Column("label_confidence", "double", "number"),
    Column("correct", "bool", None),
    Column("error", "string", "bytes"),
    Column("reason", "string", None),
)

#: Beside them where the model has a threshold.
ABSTAINED = Column("abstained", "bool", "flag")


def best_columns(topk: int) -> list[Column]:
    """``top1``, ``p1`` … ``topK``, ``pK``: the best classes and their probabilities."""
    pairs = ((Column(f"top{k}", "string", "codes"), Column(f"p{k}", "double", None)) for k in range(1, topk + 1))
    return [column for pair in pairs for column in pair]


def columns(topk: int, abstaining: bool = False) -> list[Column]:
    """All columns but the probabilities of every class, in order; ``abstaining`` where the model has a threshold."""
    return [*COLUMNS, *([ABSTAINED] if abstaining else []), *best_columns(topk)]


def positions(names: Sequence[str], topk: int, abstaining: bool = False) -> list[int]:
    """Where in the rows of :func:`rows` the columns are that a user chose, in that order; all of them without names.

    Raises:
        OptionError: for a name that is not a column or is there twice, or if ``path`` is not among them.

    >>> positions(["predicted", "path"], 0)
    [2, 0]
    """
    known = [column.name for column in columns(topk, abstaining)]
    for name in names:
        if name not in known:
            more = "; top1, p1 … come with --topk" if name[:1] in ("t", "p") and not topk else ""
            raise OptionError(
                f"there is no column '{name}'", where="--columns", expected=f"{', '.join(known)}{more}",
                hint=_HINTS.get(name, "--probabilities adds the columns p:CLASS" if name.startswith(PREFIX) else None),
            )  # fmt: skip
    if len(set(names)) < len(names):
        raise OptionError("a column is named twice", where="--columns", got=",".join(names))
    if names and "path" not in names:
        raise OptionError("the images have no name without path", where="--columns", got=",".join(names))
    return [known.index(name) for name in names or known]


_HINTS = {
    ABSTAINED.name: "the model has no threshold: name one with --abstain-below, or export with --abstain-at-precision"
}


def class_columns(classes: Sequence[str]) -> list[str]:
    """The names of the columns with the probabilities of every class."""
    return [PREFIX + name for name in classes]


def rows(
    predictions: Predictions, classes: tuple[str, ...], topk: int, abstain_below: float | None = None
) -> Iterator[Row]:
    """One row of :func:`columns` per image, in order; None where there is no value."""
    abstaining = abstain_below is not None
    probabilities, index = predictions.probabilities, np.arange(len(predictions.names))
    ranked = predictions.top(max(1, topk))
    values = as_written(np.take_along_axis(probabilities, ranked, axis=1)).tolist()
    label_values = as_written(probabilities[index, predictions.labels]).tolist()
    batch = zip(
        predictions.names, predictions.labels.tolist(), predictions.errors, predictions.reasons,
        ranked.tolist(), values, label_values, strict=True,
    )  # fmt: skip
    for name, label, error, reason, best, best_values, label_value in batch:
        truth = classes[label] if label >= 0 else None
        if error is not None:
            yield [name, truth, None, None, None, None, error, reason, *[None] * (2 * topk + abstaining)]
            continue
        known = label >= 0
        row: Row = [
            name, truth, classes[best[0]], best_values[0],
            label_value if known else None, best[0] == label if known else None, None, None,
        ]  # fmt: skip
        if abstain_below is not None:
            row.append(best_values[0] < abstain_below)
        for k in range(topk):
            row += [classes[best[k]], best_values[k]]
        yield row
