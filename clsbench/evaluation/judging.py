"""From a prediction table and metrics to an :class:`Evaluation`: what ``evaluate --json`` holds, typed."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

from clsbench import __version__
from clsbench.errors import DataError
from clsbench.evaluation.metrics.per_class import PerClass
from clsbench.evaluation.metrics.roc_auc import ClassAreas
from clsbench.predictions.manifest import SCHEMA, Manifest
from clsbench.predictions.metric import Metric, Metrics, run_metrics
from clsbench.predictions.table import PredictionTable
from clsbench.predictions.values import Absent
from clsbench.tabular import Tabular

if TYPE_CHECKING:
    import pyarrow as pa

T = TypeVar("T")


@dataclass(frozen=True)
class ImageCounts:
    """Images of a predictions file.

    Args:
        total: Rows.
        ok: Classified.
        errors: Not classified.
        labelled: With a label.
        judged: Classified and with a label.
    """

    total: int
    ok: int
    errors: int
    labelled: int
    judged: int


@dataclass(frozen=True, kw_only=True)
class Evaluation(Tabular):
    """A predictions file judged.

    Args:
        file: The predictions file.
        classes: K names.
        counts: Of images.
        metrics: What the metrics gave, and which failed.
        notes: On reading the file, for people.
        manifest: What ``infer`` wrote beside the file; empty without.
        clsbench: The version that judged.
    """

    file: Path
    classes: tuple[str, ...]
    counts: ImageCounts
    metrics: Metrics
    notes: tuple[str, ...] = ()
    manifest: Manifest = field(default_factory=Manifest)
    clsbench: str = __version__

    def find(self, key: str, kind: type[T]) -> T | Absent:
        """A value of a metric, or why there is none; see :meth:`clsbench.predictions.metric.Metrics.find`."""
        return self.metrics.find(key, kind)

    @property
    def errors(self) -> Mapping[str, str]:
        """Name of a metric that failed -> reason."""
        return self.metrics.errors

    def to_arrow(self) -> pa.Table:
        """The per-class table as a pyarrow Table: a row a class, in class order.

        Columns: class, precision, recall, f1, support, recall_low, recall_high and, where there are
        probabilities, roc_auc.

        Raises:
            DataError: if the metric ``per-class`` gave none.
        """
        import pyarrow as pa

        found, areas = self.find("per_class", PerClass), self.find("roc_auc_per_class", ClassAreas)
        if isinstance(found, Absent):
            raise DataError("there is no per-class table", where=self.file, got=found.reason)
        rows = [{"class": row.name, **row.to_json()} for row in found.classes]
        if isinstance(areas, ClassAreas):
            rows = [{**row, "roc_auc": areas.areas.get(row["class"])} for row in rows]
        return pa.Table.from_pylist(rows)

    def to_json(self) -> dict[str, Any]:
        """What ``evaluate --json`` holds; the keys are stable, see README."""
        told = self.manifest.to_json()
        return {
            "schema": SCHEMA,
            "clsbench": self.clsbench,
            "predictions": str(self.file),
            "images": told.get("images"),
            "model": told.get("model"),
            "classes": list(self.classes),
            "counts": asdict(self.counts),
            "metrics": self.metrics.to_json(),
            "metric_errors": dict(self.metrics.errors),
            "notes": list(self.notes),
            "device": told.get("device"),
            "throughput": told.get("throughput"),
        }


def judge(table: PredictionTable, metrics: Iterable[tuple[str, Metric]]) -> Evaluation:
    """Judge a predictions file.

    Args:
        table: The file.
        metrics: Name and metric, in order; see :func:`clsbench.predictions.metric.run_metrics`.

    Raises:
        DataError: if there are no images to judge.
    """
    outcomes = table.outcomes()
    ok = int((table.predicted >= 0).sum())
    labelled = int((table.labels >= 0).sum())
    return Evaluation(
        file=table.file,
        classes=tuple(table.classes),
        counts=ImageCounts(len(table.names), ok, len(table.names) - ok, labelled, len(outcomes.labels)),
        metrics=run_metrics(outcomes, metrics),
        notes=tuple(table.notes),
        manifest=table.manifest,
    )
