"""InferenceResult: what a job found out; the facts of the manifest and of ``infer --json``."""

from __future__ import annotations

import platform
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field
from datetime import datetime
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from clsbench import __version__
from clsbench.card import ModelCard
from clsbench.images.pixels import PIXEL_RULES
from clsbench.images.sources.source import Skipped, skipped_json
from clsbench.inference.engine_choice import EngineChoice
from clsbench.inference.job import Execution
from clsbench.machine import available_cores
from clsbench.model_file import model_hash
from clsbench.predictions.abstaining import Abstained, abstains
from clsbench.predictions.answers import Answer, answers
from clsbench.predictions.block import Predictions
from clsbench.predictions.columns import FEATURES
from clsbench.predictions.failures import Failures
from clsbench.predictions.job import JobIdentity
from clsbench.predictions.manifest import (
    Counts,
    Json,
    JsonObject,
    LabelOrigin,
    Manifest,
    ModelIdentity,
    Throughput,
    WrittenFeatures,
)
from clsbench.predictions.metric import Metrics
from clsbench.predictions.outcomes import OutcomeCollector, Outcomes
from clsbench.predictions.shard_record import ShardRecord
from clsbench.tabular import Tabular

if TYPE_CHECKING:
    import pyarrow as pa

    from clsbench.datasets.sorting import SortedImages

#: Jobs of at most so many images tell what each of them is.
FEW_IMAGES = 20


class Tally:
    """Counts and outcomes, block by block, and the answers of a job of a few images.

    Args:
        classes: Of the model.
        abstain_below: Its threshold, if it has one.
    """

    def __init__(self, classes: tuple[str, ...], abstain_below: float | None = None) -> None:
        self.total = self.errors = self.labelled = self._abstained = 0
        self._below = abstain_below
        #: The images that were not classified.
        self.failures = Failures()
        #: Of the images, while there are not more than a few.
        self.answers: list[Answer] = []
        self._classes, self._collector = classes, OutcomeCollector(classes, abstain_below)
        self._predicted = np.zeros(len(classes), np.int64)

    def add(self, block: Predictions) -> int:
        """Take a block with its labels; returns how many of its images failed."""
        wrong = self.failures.add(block)
        self.total += len(block.names)
        self.errors += wrong
        self.labelled += int((block.labels >= 0).sum())
        self._collector.add(block)
        self._predicted += np.bincount(block.top(1)[block.ok, 0], minlength=len(self._classes))
        if self._below is not None:
            self._abstained += int(abstains(block.probabilities[block.ok].max(axis=1), self._below).sum())
        few = self.total <= FEW_IMAGES
        made = answers(block, self._classes, abstain_below=self._below) if few else []
        self.answers = [*self.answers, *made] if few else []
        return wrong

    def abstained(self) -> Abstained | None:
        """How many predictions are below the threshold of the model; None where it has none."""
        return None if self._below is None else Abstained(self._abstained, self.total - self.errors, self._below)

    def predicted(self) -> dict[str, int]:
        """How many images were given each class, the most frequent first, without those that none was given."""
        order = np.argsort(-self._predicted, kind="stable")
        return {self._classes[k]: int(self._predicted[k]) for k in order.tolist() if self._predicted[k]}

    def counts(self) -> Counts:
        """How many there were."""
        return Counts(total=self.total, ok=self.total - self.errors, errors=self.errors, labelled=self.labelled)

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
        topk, options: As they were asked for.
        fast_decode: Whether large JPEGs were decoded smaller.
        fast_decode_check: What was found out before that was decided, for the manifest.
        written: How the predictions file was asked to be, such as its columns.
        labels: Where the labels came from, and what the user should know about them.
        counts: Of images.
        predicted: Class -> how many images were given it, the most frequent first.
        abstained: How many of them are below the model's threshold; None where it has none.
        answers: What each image is, of a job of at most :data:`FEW_IMAGES`; else empty.
        split: Of a dataset, where only one was classified.
        skipped: What was left out of the source, and why.
        failures: The images that were not classified, by reason.
        max_failure_rate: The share of them that the user allows; None for any but all of them.
        metrics: Of the labelled images; empty without any.
        rows: One row an image, as in the predictions file; None where they were not kept.
        feature_dim: D, where features were asked for.
        feature_file: The file beside ``out`` that has them; None where the rows have them.
        shard: Which rows of a whole job these are; None of a whole one.
        job: What decided the predictions; None where nothing was written.
        resumed: How many images an earlier run of the job had done.
        recorded: The manifest of a job that was found finished; None of one that has run.
        sorted: What became of the images in class folders; None where that was not asked for.
        backend_choice: Which engine was taken and why, where that was left open.
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
    fast_decode_check: JsonObject | None = None
    options: tuple[str, ...]
    written: Mapping[str, Json]
    labels: LabelOrigin
    counts: Counts
    predicted: Mapping[str, int]
    answers: tuple[Answer, ...]
    abstained: Abstained | None = None
    split: str | None = None
    skipped: Sequence[Skipped]
    failures: Failures
    max_failure_rate: float | None = None
    metrics: Metrics
    rows: pa.Table | None = field(default=None, repr=False)
    feature_dim: int | None = None
    feature_file: Path | None = None
    shard: ShardRecord | None = None
    job: JobIdentity | None = None
    resumed: int = 0
    recorded: Manifest | None = field(default=None, repr=False)
    sorted: SortedImages | None = None
    backend_choice: EngineChoice | None = None

    def to_arrow(self) -> pa.Table:
        """One row an image, with the columns of the predictions file.

        Raises:
            DataError: if the rows were not kept (``keep_rows=False``).
        """
        from clsbench.errors import DataError

        if self.rows is None:
            raise DataError("the rows of this job were not kept", where=self.out, hint="infer with keep_rows=True")
        return self.rows

    @property
    def within_budget(self) -> bool:
        """Whether not more images failed than the user allows; if all failed, never."""
        total, errors = self.counts.total or 0, self.counts.errors or 0
        if self.max_failure_rate is None:
            return errors < total or not total
        return errors <= self.max_failure_rate * total

    @property
    def code(self) -> str | None:
        """Of :mod:`clsbench.finding_codes`, where it is not within its budget."""
        return None if self.within_budget else "CB-G007"

    @property
    def manifest(self) -> Manifest:
        """The manifest that is written next to the predictions file."""
        if self.recorded:
            return self.recorded
        timing = self.execution.timing
        return Manifest(
            clsbench=__version__,
            started=self.started.isoformat(timespec="seconds"),
            images=self.images,
            model=ModelIdentity(file=str(self.model), sha256=model_hash(self.model), card=self.card.to_json()),
            device=self.execution.device.to_json(),
            options={
                **self.execution.plan.to_json(),
                "executor": self.executor,
                "topk": self.topk,
                "fast_decode": self.fast_decode,
                "with": list(self.options),
                **self.written,
                **({"split": self.split} if self.split else {}),
                **({"backend_choice": self.backend_choice.to_json()} if self.backend_choice else {}),
            },
            labels=self.labels,
            counts=self.counts,
            failures=self.failures.to_json() or None,
            abstained=self.abstained.to_json() if self.abstained else None,
            predicted=dict(self.predicted),
            metrics=self.metrics.to_json(),
            metric_errors=dict(self.metrics.errors),
            throughput=Throughput.from_json(timing.to_json()) if timing else None,
            machine={
                "cores": available_cores(),
                "platform": platform.platform(),
                "python": platform.python_version(),
            },
            skipped=skipped_json(self.skipped) or None,
            pixels=PIXEL_RULES,
            shard=self.shard.to_json() if self.shard else None,
            job=asdict(self.job) if self.job else None,
            features=self._features(),
            fast_decode=self.fast_decode_check,
            resumed=self.resumed or None,
            decoded=self.execution.decoded.to_json() if self.execution.decoded else None,
        )

    def _features(self) -> WrittenFeatures | None:
        if self.feature_dim is None:
            return None
        file = self.feature_file.name if self.feature_file else None
        return WrittenFeatures(dim=self.feature_dim, file=file, column=None if file else FEATURES)

    def to_json(self) -> dict[str, Json]:
        """The same as plain values with stable keys, see README; with the names of all that was skipped.

        Of a few images also ``predictions``, one an image.
        """
        told = [answer.to_json() for answer in self.answers]
        values = self.manifest.to_json() | ({"predictions": told} if told else {})
        if self.code:
            values["code"] = self.code
        if self.skipped:
            values["skipped"] = skipped_json(self.skipped, complete=True)
        return values | ({"sorted": self.sorted.to_json()} if self.sorted else {})
