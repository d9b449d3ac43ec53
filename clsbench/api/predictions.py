"""Predictions files, opened and judged: what ``evaluate``, ``report``, ``compare`` and ``show`` share."""

from __future__ import annotations

import dataclasses
import os
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

from clsbench.api.components import Options, choose, metric_names
from clsbench.api.observer import Observer
from clsbench.api.outputs import Outputs
from clsbench.errors import OptionError

if TYPE_CHECKING:
    from clsbench.evaluation.judging import Evaluation
    from clsbench.predictions.table import PredictionTable

#: The columns of a foreign file: ``"path=file,predicted=pred"`` or ``{"path": "file", "predicted": "pred"}``.
Columns = str | Mapping[str, str] | None


@contextmanager
def open_table(
    file: Path,
    *,
    columns: Columns = None,
    labels: str | Path | None = None,
    outputs: Outputs | None = None,
    observer: Observer,
) -> Iterator[PredictionTable]:
    """A predictions file in memory; its notes are reported.

    Args:
        file, columns, labels, observer: As in :func:`clsbench.evaluate`.
        outputs: What the task writes: none of it may be a file that is read here, or an image of the table.
    """
    from clsbench.predictions.manifest import manifest_path
    from clsbench.predictions.reading import read_predictions

    outputs = outputs or Outputs(observer)
    outputs.refuse(file, manifest_path(file), labels)
    observer.stage(f"reading {file}")
    with read_predictions(file, columns=parse_columns(columns), labels=Path(labels) if labels else None) as table:
        for note in table.notes:
            observer.note(note)
        outputs.refuse(table.manifest.model.file if table.manifest.model else None)
        if outputs.draws and (root := table.root):
            outputs.refuse_images(os.path.join(root, name) for name in table.names)
        yield table


def judge(table: PredictionTable, metrics: Sequence[str], options: Options, observer: Observer) -> Evaluation:
    """All metrics of a table; it is noted where the model was trained on its images."""
    from clsbench.api.trained_on import trained_on
    from clsbench.evaluation.judging import judge as judge_table

    chosen = choose({"metric": [*metric_names("evaluate"), *metrics]}, options)["metric"]
    observer.stage("evaluating")
    found = judge_table(table, [(c.name, c.build()) for c in chosen])
    for name, reason in found.metrics.errors.items():
        observer.warn(f"metric {name} failed: {reason}")
    model = table.manifest.model
    if note := trained_on(model.file if model else None, table.root, table.names):
        observer.warn(note)
        found = dataclasses.replace(found, notes=(*found.notes, note))
    return found


def parse_columns(columns: Columns) -> dict[str, str]:
    """Our column name -> the file's.

    Raises:
        OptionError: if the text is not ``path=file,predicted=pred``.
    """
    if not isinstance(columns, str):
        return dict(columns or {})
    pairs = [pair.partition("=") for pair in columns.split(",") if pair]
    if any(not (ours and equals and theirs) for ours, equals, theirs in pairs):
        raise OptionError(
            "cannot read the columns", where="--columns", got=columns, expected="for example path=file,predicted=pred"
        )
    return {ours.strip(): theirs.strip() for ours, _, theirs in pairs}
