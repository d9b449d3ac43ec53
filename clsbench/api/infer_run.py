"""InferenceRun: an inference job under way, from its images to the predictions file, its manifest and the result."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterator, Mapping, Sequence
from contextlib import ExitStack, closing, contextmanager, nullcontext
from dataclasses import dataclass
from datetime import UTC, datetime
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any, BinaryIO, Literal

from clsbench.api.components import Chosen
from clsbench.api.infer_sinks import Sink, Sinks
from clsbench.api.observer import Observer
from clsbench.errors import DataError, PluginError
from clsbench.output_files import whole_file
from clsbench.text import counted

if TYPE_CHECKING:
    from clsbench.datasets.labels import Labels
    from clsbench.images.sources.source import Source
    from clsbench.inference.job import Execution, Executor, JobSpec
    from clsbench.inference.result import InferenceResult, Tally
    from clsbench.predictions.arrow import ArrowCollector
    from clsbench.predictions.block import Predictions
    from clsbench.predictions.job import JobIdentity
    from clsbench.predictions.ledger import Ledger
    from clsbench.predictions.manifest import Manifest
    from clsbench.predictions.metric import Metric, Metrics
    from clsbench.predictions.outcomes import Outcomes


@dataclass(kw_only=True)
class InferenceRun:
    """A job that is ready to run.

    Args:
        spec: Everything about it but its images.
        source: Its images.
        truth: Their labels.
        out: The predictions file, or an open stream; None to write nothing.
        writers: What writes it; empty without ``out``.
        feature_file: The file beside it that gets the features; None without one.
        executor: What runs it.
        metrics: Name and metric, of the labelled images.
        sinks: What else takes the blocks, such as ``rows``.
        rows: Keeps the rows for the result; None to let them go.
        asked: Fields of the result that say what was asked for.
        on_error: What an image that cannot be classified is: a ``row``, or the end of the job (``fail``).
        observer: Hears notes, warnings and progress.
    """

    spec: JobSpec
    source: Source
    truth: Labels
    out: Path | BinaryIO | None
    writers: Sequence[Chosen]
    feature_file: Path | None
    executor: Chosen
    metrics: Sequence[tuple[str, Metric]]
    sinks: Sequence[Sink]
    rows: ArrowCollector | None
    asked: Mapping[str, Any]
    on_error: Literal["row", "fail"] = "row"
    observer: Observer

    def run(self, job: JobIdentity | None = None, ledger: Ledger | None = None) -> InferenceResult:
        """Run the job; the predictions and their manifest appear together, and the ledger goes.

        Args:
            job: What the job is; None where no file is written, only a stream or a device.
            ledger: Takes the blocks, and gives those that are done already.

        Raises:
            ClsbenchError: as :func:`clsbench.infer` says.
        """
        from clsbench.inference.result import Tally
        from clsbench.json_fields import dumps
        from clsbench.predictions.feature_file import FeatureWriter
        from clsbench.predictions.manifest import manifest_path

        self._started, tally = datetime.now(UTC), Tally(self.spec.card.classes, self.spec.card.abstain_below)
        if ledger and ledger.job:
            self._go_on(ledger.job)
        runner: Executor = self.executor.build()
        # Ended in this order: the ledger is complete, features, predictions and manifest get their names.
        with ExitStack() as beside, ExitStack() as files, self._recording(ledger):
            writers: list[Any] = [partial(one.build, self.out, self.spec.card) for one in self.writers]
            if self.feature_file and self.spec.feature_dim:
                rows = len(self.source.entries)
                writers.append(partial(FeatureWriter, self.feature_file, rows, self.spec.feature_dim))
            sinks = Sinks(writers, self.sinks, self.truth.index, tally, files)
            resumed = self._consume(runner, sinks, job, ledger)
            measured, failure = self._measure(tally.outcomes())
            result = self._result(runner.execution, tally, measured, job=job, resumed=resumed)
            if (decoded := result.execution.decoded) and decoded.failed:
                self.observer.warn(decoded.text)
            if isinstance(self.out, Path) and job:
                sinks.describe(result.manifest)
                manifest = beside.enter_context(whole_file(manifest_path(self.out), "the manifest"))
                manifest.write_text(dumps(result.manifest.to_json()), encoding="utf-8")
        if ledger:
            ledger.remove()
        if isinstance(self.out, Path):
            features = f", {self.feature_file.name}" if self.feature_file else ""
            self.observer.note(f"written: {self.out}{features}" + (f" and {self.out.name}.json" if job else ""))
        if failure:
            raise failure
        return result

    @contextmanager
    def _recording(self, ledger: Ledger | None) -> Iterator[None]:
        """Keep the ledger open; whatever ends the job says how to go on with it."""
        try:
            with ledger or nullcontext():
                yield
        except BaseException as error:
            if ledger and ledger.rows:
                done = f"{ledger.rows:,} of {counted(len(self.source.entries), 'image')}"
                error.add_note(f"{done} are done and kept: --resume goes on with the job")
            elif ledger and not isinstance(error, Exception):
                error.add_note("nothing is kept of a job of few images that ran for a few seconds")
            raise

    def recorded(self, out: Path, manifest: Manifest) -> InferenceResult:
        """The result of a job that was found finished: what its files say.

        Args:
            out: The predictions file.
            manifest: The one beside it.

        Raises:
            ClsbenchError: if they cannot be read.
        """
        from clsbench.inference.backend import DeviceInfo, Plan
        from clsbench.inference.job import Execution
        from clsbench.inference.result import Tally
        from clsbench.json_fields import read_fields
        from clsbench.predictions.abstaining import Abstained
        from clsbench.predictions.failures import Failures
        from clsbench.predictions.reading import read_predictions

        if self.on_error == "fail" and manifest.counts and manifest.counts.errors:
            errors = counted(manifest.counts.errors, "row with an error", "rows with errors")
            raise DataError(
                "images cannot be classified", where=out, got=errors,
                hint="leave out --on-error fail",
            )  # fmt: skip
        what, options = "the manifest", manifest.options or {}
        device = read_fields(DeviceInfo, manifest.device or {}, what=what, where=out)
        plan = read_fields(Plan, {**options, "source": options.get("plan")}, what=what, where=out)
        outcomes, columns = None, options.get("columns")
        if not isinstance(columns, list) or {"path", "predicted", "label"} <= {*columns}:  # else it tells no metrics
            with read_predictions(out) as table:
                outcomes = table.outcomes() if (table.labels >= 0).any() else None
        measured, failure = self._measure(outcomes)
        if failure:
            raise failure
        self._started = datetime.now(UTC)
        found = self._result(Execution(device, plan), Tally(self.spec.card.classes), measured)
        predicted = {str(name): int(str(count)) for name, count in (manifest.predicted or {}).items()}
        abstained = read_fields(Abstained, manifest.abstained, what=what, where=out) if manifest.abstained else None
        counts, failures = manifest.counts or found.counts, Failures.from_json(manifest.failures or {})
        return dataclasses.replace(
            found, out=out, counts=counts, predicted=predicted, failures=failures, rows=None, recorded=manifest,
            abstained=abstained,
        )  # fmt: skip

    def _go_on(self, job: JobIdentity) -> None:
        """Call the model as the interrupted run did: another size of a batch may change the last digit."""
        from clsbench.options import option_types

        opener, plan = self.spec.backend, job.plan
        taken = {name: value for name, value in plan.items() if name in option_types(opener.build)}
        opener = dataclasses.replace(opener, options={**opener.options, **taken})
        size = plan.get("batch_size")
        self.spec = dataclasses.replace(self.spec, backend=opener, batch_size=size if isinstance(size, int) else None)

    def _consume(self, runner: Executor, sinks: Sinks, job: JobIdentity | None, ledger: Ledger | None) -> int:
        """Hand every block to whoever wants it; returns how many images were done before."""
        from clsbench.inference.job import run_job

        entries = self.source.entries
        done = ledger.rows if ledger else 0
        if ledger and done:
            self.observer.stage("reading what is done", done)
            for block in ledger.blocks():
                self._check(block)
                self.observer.advance(len(block.names), sinks.take(block))
        self.observer.stage("images", len(entries) - done)
        with closing(run_job(runner, self.spec, entries[done:])) as blocks:
            for number, block in enumerate(blocks):
                if number == 0:
                    self._begun(runner, job, ledger)
                self._check(block)
                if ledger:
                    ledger.append(block)
                self.observer.advance(len(block.names), sinks.take(block))
        sinks.open()  # a shard may have no images
        return done

    def _check(self, block: Predictions) -> None:
        """End the job at an image that cannot be classified, where that was asked for."""
        if self.on_error == "row" or block.ok.all():
            return
        row = int(block.ok.argmin())
        raise DataError(
            "an image cannot be classified", where=block.names[row], got=block.errors[row],
            hint="mend or remove it, or leave out --on-error fail: then it is a row with a reason",
        )  # fmt: skip

    def _begun(self, runner: Executor, job: JobIdentity | None, ledger: Ledger | None) -> None:
        """The model is open: say on what it runs, and begin to record."""
        from clsbench.inference.job import Execution

        execution = getattr(runner, "execution", None)
        if not isinstance(execution, Execution):
            return
        if reason := execution.device.reason:
            self.observer.note(f"running on the CPU: {reason}")
        if ledger and job:
            called = ("batch_size", "streams", "threads", "graph_level")
            plan = {name: value for name in called if (value := getattr(execution.plan, name)) is not None}
            now = dataclasses.replace(job, device=execution.device.device, plan=plan)
            if ledger.job and (changes := ledger.job.differences(now)):
                raise DataError(
                    "the job cannot be continued: something has changed", where=ledger.file, got="; ".join(changes),
                    hint="begin anew with --restart", code="CB-J001",
                )  # fmt: skip
            ledger.begin(now)

    def _measure(self, outcomes: Outcomes | None) -> tuple[Metrics, PluginError | None]:
        """The metrics, and what ended a plugin's so that the job has to end too, once its files are complete."""
        from clsbench.predictions.metric import Metrics, run_metrics

        try:
            measured = run_metrics(outcomes, self.metrics)
        except PluginError as error:
            return Metrics(), error
        for name, reason in measured.errors.items():
            self.observer.warn(f"metric {name} failed: {reason}")
        return measured, None

    def _result(
        self,
        execution: Execution | None,
        tally: Tally,
        metrics: Metrics,
        *,
        job: JobIdentity | None = None,
        resumed: int = 0,
    ) -> InferenceResult:
        from clsbench.inference.result import InferenceResult
        from clsbench.predictions.manifest import LabelOrigin

        assert execution is not None
        return InferenceResult(
            model=self.spec.model,
            card=self.spec.card,
            images=self.source.location,
            out=self.out if isinstance(self.out, Path) and job else None,
            started=self._started,
            execution=execution,
            executor=self.executor.name,
            labels=LabelOrigin(self.truth.source, self.truth.notes),
            counts=tally.counts(),
            predicted=tally.predicted(),
            abstained=tally.abstained(),
            answers=tuple(tally.answers),
            skipped=self.source.skipped,
            failures=tally.failures,
            metrics=metrics,
            rows=self.rows.table() if self.rows else None,
            feature_dim=self.spec.feature_dim,
            feature_file=self.feature_file,
            job=dataclasses.replace(job, overwrite=False) if job else None,
            resumed=resumed,
            **self.asked,
        )
