"""InferenceResult: what a job found out; the facts of the manifest and of ``infer --json``."""

from __future__ import annotations

import platform
from dataclasses import dataclass, field
from datetime import datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any

from clsbench import __version__
from clsbench.card import ModelCard
from clsbench.inference.job import Execution
from clsbench.machine import available_cores
from clsbench.model_file import model_hash
from clsbench.predictions.block import Predictions
from clsbench.predictions.metric import SCHEMA, Metrics
from clsbench.predictions.outcomes import OutcomeCollector, Outcomes
from clsbench.tabular import Tabular

if TYPE_CHECKING:
    import pyarrow as pa


@dataclass(frozen=True, kw_only=True)
class Counts:
    """How many images there were, could not be classified, and had a label."""

    total: int
    errors: int
    labelled: int

    def to_json(self) -> dict[str, int]:
        """Plain values."""
        return {"total": self.total, "ok": self.total - self.errors, "errors": self.errors, "labelled": self.labelled}


class Tally:
    """Counts and outcomes, block by block.

    Args:
        classes: Of the model.
    """

    def __init__(self, classes: tuple[str, ...]) -> None:
        self.total = self.errors = self.labelled = 0
        self.first_error: str | None = None
        self._collector = OutcomeCollector(classes)

    def add(self, block: Predictions) -> int:
        """Take a block with its labels; returns how many of its images failed."""
        wrong = [error for error in block.errors if error is not None]
        self.first_error = self.first_error or next(iter(wrong), None)
        self.total += len(block.names)
        self.errors += len(wrong)
        self.labelled += int((block.labels >= 0).sum())
        self._collector.add(block)
        return len(wrong)

    def counts(self) -> Counts:
        """How many there were."""
        return Counts(total=self.total, errors=self.errors, labelled=self.labelled)

    def outcomes(self) -> Outcomes | None:
        """Of the labelled and classified images; None without any."""
        return self._collector.outcomes()


@dataclass(frozen=True, kw_only=True)
class InferenceResult(Tabular):
    """A finished job.

    Args:
        model: The model file.
        card: Its card.
        images: Where the images came from.
        out: The predictions file, if one was written.
        started: When, UTC.
        execution: Device, plan and timing.
        executor: Which executor ran it, qualified.
        topk, fast_decode, options: As they were asked for.
        label_source: Where the labels came from: ``class folders``, a file, or None.
        label_notes: What the user should know about them.
        counts: Of images.
        first_error: The first reason why an image was not classified.
        metrics: Of the labelled images; empty without any.
        rows: One row an image, as in the predictions file; None where they were not kept.
    """

    model: Path
    card: ModelCard
    images: str
    out: Path | None
    started: datetime
    execution: Execution
    executor: str
    topk: int
    fast_decode: bool
    options: tuple[str, ...]
    label_source: str | None
    label_notes: tuple[str, ...]
    counts: Counts
    first_error: str | None
    metrics: Metrics
    rows: pa.Table | None = field(default=None, repr=False)

    def to_arrow(self) -> pa.Table:
        """One row an image, with the columns of the predictions file.

        Raises:
            DataError: if the rows were not kept (``keep_rows=False``).
        """
        from clsbench.errors import DataError

        if self.rows is None:
            raise DataError("the rows of this job were not kept", where=self.out, hint="infer with keep_rows=True")
        return self.rows

    def to_json(self) -> dict[str, Any]:
        """Plain values with stable keys, see README."""
        plan = self.execution.plan.to_json()
        return {
            "schema": SCHEMA,
            "clsbench": __version__,
            "started": self.started.isoformat(timespec="seconds"),
            "images": self.images,
            "model": {"file": str(self.model), "sha256": model_hash(self.model), "card": self.card.to_json()},
            "device": self.execution.device.to_json(),
            "options": {
                **plan,
                "executor": self.executor,
                "topk": self.topk,
                "fast_decode": self.fast_decode,
                "with": list(self.options),
            },
            "labels": {"source": self.label_source, "notes": list(self.label_notes)},
            "counts": self.counts.to_json(),
            **self.metrics.to_json(),
            "throughput": self.execution.timing.to_json() if self.execution.timing else {},
            "machine": {
                "cores": available_cores(),
                "platform": platform.platform(),
                "python": platform.python_version(),
            },
        }
