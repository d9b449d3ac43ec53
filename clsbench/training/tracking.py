"""Tracking: an observer of training that also writes to experiment trackers.

A tracker that fails once the training is on its way is dropped with one warning: no training ends for its record.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from typing import Any

from clsbench.errors import ClsbenchError, ModelError
from clsbench.json_fields import Scalar, parse_object, write_json
from clsbench.run_record import RunRecord
from clsbench.runs import Run
from clsbench.text import on_one_line
from clsbench.training.epochs import Epoch
from clsbench.training.journal import Journal
from clsbench.training.observer import Observer
from clsbench.training.progress import BatchLoss
from clsbench.training.tracker_names import check_trackers, parse_trackers
from clsbench.training.trackers import Ending, RunTracker, open_tracker

#: The file of a run that names its records elsewhere.
RECORDS = "tracking.json"


class Tracking:
    """Tells an observer everything, and trackers the rest of it.

    Args:
        names: As ``--track`` takes them; none for no record.
        observer: Hears everything, and of trackers that fail.

    Raises:
        OptionError: for an unknown tracker.
        ClsbenchError: if one is not installed.
    """

    def __init__(self, names: str, observer: Observer) -> None:
        self._names, self._observer = parse_trackers(names), observer
        check_trackers(self._names)
        self._trackers: list[RunTracker] = []

    def __getattr__(self, name: str) -> Any:
        return getattr(self._observer, name)

    def begin(self, run: Run, record: RunRecord) -> None:
        """Open the trackers, and record the hyperparameters; a resumed run goes on with the records it has.

        Raises:
            ClsbenchError: if one cannot be opened: its user is still here to mend it.
        """
        known = _known(run)
        for name in self._names:
            try:
                self._trackers.append(tracker := open_tracker(name, run, known.get(name)))
                tracker.options({} if name in known else hyperparameters(record))
            except Exception as error:
                raise ClsbenchError(
                    f"{name} cannot record this training", where=f"--track {name}", got=_reason(error),
                    hint="check its settings in the environment, or leave it out",
                ) from error  # fmt: skip
            self._observer.note(f"{name}: {tracker.where}")
        if self._trackers:
            write_json(run.path / RECORDS, {**known, **{each.name: each.identity for each in self._trackers}})

    def batch(self, result: BatchLoss) -> None:
        """Record it."""
        self._observer.batch(result)
        step = (result.epoch - 1) * result.total + result.batch
        values = {"train/batch_loss": result.loss, "train/batch_lr": result.lr}
        self._all(lambda tracker: tracker.batch(values, result.epoch, step))

    def epoch(self, result: Epoch) -> None:
        """Record its metrics."""
        self._observer.epoch(result)
        values = {
            "train/loss": result.train_loss,
            "train/accuracy": result.train_accuracy,
            "val/loss": result.val_loss,
            "val/accuracy": result.val_accuracy,
            "lr": result.lr,
            "seconds": result.elapsed,
        }
        self._all(lambda tracker: tracker.epoch(values, result.epoch))

    @contextmanager
    def recorded(self, journal: Journal) -> Iterator[None]:
        """Within, something is trained; whatever ends it, the trackers get the result and are closed."""
        ending: Ending = "KILLED"
        try:
            yield
            ending = "FINISHED"
        except Exception:
            ending = "FAILED"
            raise
        finally:
            self._finish(journal.record, ending)

    def _finish(self, record: RunRecord, ending: Ending) -> None:
        result, values = record.result, {}
        if result:
            reached = {
                "best/val_accuracy": result.val_accuracy,
                "best/val_loss": result.val_loss,
                "best/epoch": result.best_epoch,
                "test/accuracy": result.test_accuracy,
            }
            values = {name: value for name, value in reached.items() if value is not None}
        status = record.status + (f": {result.stopped}" if result and result.stopped else "")
        self._all(lambda tracker: tracker.finish(values, result.epochs if result else 0, status, ending))

    def _all(self, do: Callable[[RunTracker], None]) -> None:
        for tracker in list(self._trackers):
            try:
                do(tracker)
            except Exception as error:  # noqa: BLE001  whatever its package raises
                self._trackers.remove(tracker)
                self._observer.warn(f"{tracker.name} records no more of this training: {_reason(error)}")


def hyperparameters(record: RunRecord) -> dict[str, Scalar]:
    """What a training was asked to do and on what, flat: options of training by their names, the rest with a prefix."""
    parts: dict[str, Mapping[str, Scalar]] = {
        "data": {"root": record.data.root, **record.data.options, **record.data.defaults},
        "model": {"version": record.model.version, **record.model.options, **record.model.defaults},
        "split": record.split,
        "images": record.counts,
    }
    return {
        **{name: value for name, value in record.training.items() if name != "track"},
        "data": record.data.dataset,
        "model": record.model.name,
        **{f"{part}.{name}": value for part, values in parts.items() for name, value in values.items()},
        "classes": len(record.classes),
        "clsbench": record.clsbench,
        "torch": record.torch,
    }


def _known(run: Run) -> dict[str, str]:
    """The records that a run has already: tracker -> what it calls its record."""
    try:
        found = parse_object((run.path / RECORDS).read_bytes(), what="the records of a run")
    except (OSError, ModelError):
        return {}
    return {name: identity for name, identity in found.items() if isinstance(identity, str)}


def _reason(error: Exception) -> str:
    """What a package said, on one line."""
    text = error.one_line() if isinstance(error, ClsbenchError) else str(error)
    return on_one_line(text.strip()[:300]) or type(error).__name__
