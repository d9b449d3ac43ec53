"""One inference job: card, backend and samples to predictions, facts and a manifest."""

from __future__ import annotations

import contextlib
import platform
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Protocol

from clsbench import __version__
from clsbench.card import ModelCard
from clsbench.datasets.dataset import Sample
from clsbench.datasets.labels import Labels
from clsbench.images.decoders import Decoder
from clsbench.images.loader import ImageLoader
from clsbench.inference.backend import Backend
from clsbench.inference.pipeline import Pipeline
from clsbench.inference.timing import Timing
from clsbench.machine import available_cores
from clsbench.model_file import model_hash
from clsbench.predictions.block import OutcomeCollector, Outcomes, Predictions

Metric = Callable[[Outcomes], Mapping[str, Any]]

#: The version of the facts in ``--json`` and the manifest.
SCHEMA = 1


class Writer(Protocol):
    """Takes predictions batch by batch; see ``register_writers``."""

    def __enter__(self) -> Any: ...

    def __exit__(self, *exc: Any) -> Any: ...

    def write(self, predictions: Predictions) -> None:
        """Append a batch."""


@dataclass(frozen=True)
class JobResult:
    """What a job found out."""

    total: int
    errors: int
    first_error: str | None
    outcomes: Outcomes | None
    timing: Timing
    device: dict[str, Any]
    started: datetime

    def facts(
        self,
        model: Path,
        card: ModelCard,
        images: Path,
        *,
        labels: Labels,
        metrics: Sequence[tuple[str, Metric]],
        options: Mapping[str, Any],
    ) -> dict[str, Any]:
        """The facts of the manifest and of ``--json``; stable keys, see README.

        A metric that fails costs its own values only: its name and reason stand under ``metric_errors``.
        """
        values: dict[str, Any] = {}
        failed: dict[str, str] = {}
        for name, metric in metrics:
            if self.outcomes is None:  # no image had a label
                break
            try:
                values |= metric(self.outcomes)
            except Exception as error:  # noqa: BLE001  a plugin's metric must not lose the others
                failed[name] = f"{type(error).__name__}: {error}"
        labelled = sum(index >= 0 for index in labels.index)
        return {
            "schema": SCHEMA,
            "clsbench": __version__,
            "started": self.started.isoformat(timespec="seconds"),
            "images": str(images),
            "model": {"file": str(model), "sha256": model_hash(model), "card": card.to_json()},
            "device": self.device,
            "options": dict(options),
            "labels": {"source": labels.source, "notes": list(labels.notes)},
            "counts": {
                "total": self.total,
                "ok": self.total - self.errors,
                "errors": self.errors,
                "labelled": labelled,
            },
            "metrics": values,
            "metric_errors": failed,
            "throughput": self.timing.to_json(),
            "machine": {
                "cores": available_cores(),
                "platform": platform.platform(),
                "python": platform.python_version(),
            },
        }


class InferenceJob:
    """Runs a model over samples.

    Args:
        card: Of the model file.
        backend: With the model in it.
        decoders: To try before the built-in ones.
        decode_threads: How many threads decode.
        batch_size: N; the backend's choice by default.
        fast_decode: Decode large JPEGs smaller; see :class:`clsbench.images.loader.ImageLoader`.
    """

    def __init__(
        self,
        card: ModelCard,
        backend: Backend,
        *,
        decoders: Sequence[Decoder] = (),
        decode_threads: int,
        batch_size: int | None = None,
        fast_decode: bool = False,
    ) -> None:
        self.card, self.backend = card, backend
        self.batch_size = batch_size or backend.batch_size
        self._pipeline = Pipeline(
            ImageLoader(card.transform, decoders, fast_decode=fast_decode),
            backend,
            classes=len(card.classes),
            decode_threads=decode_threads,
            temperature=card.temperature,
            batch_size=self.batch_size,
        )

    def plan(self) -> dict[str, Any]:
        """How the model is run: batch size, streams, threads, and who chose them."""
        chosen = getattr(self.backend, "plan", None)
        return {
            "batch_size": self.batch_size,
            "streams": self.backend.streams,
            "threads": self.backend.threads,
            "plan": chosen.source if chosen else "backend",
        }

    def run(
        self,
        samples: Sequence[Sample],
        writer: Writer | None,
        on_progress: Callable[[int, int], None] = lambda done, errors: None,
    ) -> JobResult:
        """Classify every sample.

        Args:
            samples: In the order of the rows.
            writer: Takes the predictions, or None.
            on_progress: Hears images done and errors among them, after each batch.
        """
        collector = OutcomeCollector(self.card.classes)
        counts = {"done": 0, "errors": 0}
        first: list[str] = []

        def sink(predictions: Predictions) -> None:
            if writer is not None:
                writer.write(predictions)
            collector.add(predictions)
            wrong = [error for error in predictions.errors if error is not None]
            first.extend(wrong[: 1 - len(first)])
            counts["done"] += len(predictions.names)
            counts["errors"] += len(wrong)
            on_progress(counts["done"], counts["errors"])

        started = datetime.now(UTC)
        with writer if writer is not None else contextlib.nullcontext():
            timing = self._pipeline.run(samples, sink)
        self.backend.close()
        return JobResult(
            counts["done"], counts["errors"], first[0] if first else None,
            collector.outcomes(), timing, self.backend.device, started,
        )  # fmt: skip


def manifest_path(predictions: Path) -> Path:
    """Where the manifest of a predictions file stands: ``preds.csv.json``."""
    return predictions.with_name(predictions.name + ".json")


def write_manifest(predictions: Path, facts: Mapping[str, Any]) -> None:
    """Write the manifest beside the predictions file."""
    from clsbench.json_fields import write_json

    write_json(manifest_path(predictions), facts)
