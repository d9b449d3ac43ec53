"""Accelerate's trackers, each opened on one run: tensorboard, mlflow and wandb.

They write into the run directory, and nothing leaves the machine, unless the environment names another place:
``MLFLOW_TRACKING_URI``, or ``WANDB_MODE``, ``WANDB_API_KEY`` or ``WANDB_BASE_URL``. Reports of use to their vendors
are turned off unless the environment says otherwise.
"""

from __future__ import annotations

import logging
import os
import shlex
import time
import warnings
from abc import ABC, abstractmethod
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import Any, Literal

from clsbench.images.sources.urls import redacted
from clsbench.json_fields import Scalar
from clsbench.runs import Run

#: How a training ended, as MLflow calls it.
Ending = Literal["FINISHED", "FAILED", "KILLED"]

#: The project or experiment that runs are filed under, unless the environment names one.
PROJECT = "clsbench"

#: Longest text of a hyperparameter, in characters: MLflow took no more before version 2.8.
LONGEST = 500

#: Seconds between two requests to MLflow within an epoch, and metrics that may wait: it takes 1,000 at a time.
INTERVAL, MOST = 5.0, 900

#: Set where the user has not: no reports of use, and a server that has gone costs a training seconds, not minutes.
ENVIRONMENT = {
    "mlflow": {
        "MLFLOW_DISABLE_TELEMETRY": "true",
        "MLFLOW_HTTP_REQUEST_MAX_RETRIES": "1",
        "MLFLOW_HTTP_REQUEST_TIMEOUT": "10",
    },
    "wandb": {"WANDB_ERROR_REPORTING": "false", "WANDB_SILENT": "true", "WANDB_CONSOLE": "off"},
}


class RunTracker(ABC):
    """A tracker of Accelerate, opened on one run.

    Args:
        run: What is recorded.
        identity: Of the record that a resumed run goes on with; None for a new one.

    Any method may raise whatever its package does.
    """

    name: str

    def __init__(self, run: Run, identity: str | None = None) -> None:
        self.run, self.tracker = run, self._tracker(run, identity)
        self.tracker.start()

    @abstractmethod
    def _tracker(self, run: Run, identity: str | None) -> Any:
        """Accelerate's tracker, not started."""

    @property
    @abstractmethod
    def identity(self) -> str:
        """What the package calls this record."""

    @property
    @abstractmethod
    def where(self) -> str:
        """Where the records are and what shows them, for people."""

    def options(self, values: Mapping[str, Scalar]) -> None:
        """Record hyperparameters; none where that has been done."""
        shown = {name: value[:LONGEST] if isinstance(value, str) else value for name, value in values.items()}
        if shown:
            self.tracker.store_init_configuration(shown)

    def epoch(self, values: Mapping[str, float], epoch: int) -> None:
        """Record metrics after an epoch, from 1."""
        self.tracker.log(dict(values), step=epoch)

    def batch(self, values: Mapping[str, float], epoch: int, step: int) -> None:
        """Record losses of batches; ``step`` counts the batches of the run from 1."""
        self.tracker.log(dict(values), step=step)

    def finish(self, values: Mapping[str, float], epoch: int, status: str, ending: Ending) -> None:
        """Record what was reached in the end, and close."""
        if values:
            self.epoch(values, epoch)
        self._end(status, ending)

    @abstractmethod
    def _end(self, status: str, ending: Ending) -> None:
        """Say how the training ended, and close."""


class TensorBoard(RunTracker):
    """Event files in ``RUN/tensorboard``."""

    name = "tensorboard"

    def _tracker(self, run: Run, identity: str | None) -> Any:
        from accelerate.tracking import TensorBoardTracker

        return TensorBoardTracker(self.name, run.path.absolute())

    @property
    def identity(self) -> str:
        """The folder, in which all event files are one record."""
        return self.name

    @property
    def where(self) -> str:
        """The folder."""
        return f"{self.run.path / self.name}; {shlex.join(['tensorboard', '--logdir', str(self.run.path.parent)])}"

    def _end(self, status: str, ending: Ending) -> None:
        self.tracker.tracker.add_text("status", status)
        self.tracker.finish()


class MLflow(RunTracker):
    """The store of the environment, or the database ``RUN/mlflow.db``; a run of its own, nested in one that is open.

    A request costs as much as some batches, so lines of batches are sent together now and then.
    """

    name = "mlflow"

    def __init__(self, run: Run, identity: str | None = None) -> None:
        self._own = False
        self._waiting: list[Any] = []
        self._sent = time.monotonic()
        with _quiet():
            try:
                super().__init__(run, identity)
            except BaseException:
                self._leave()
                raise

    def _tracker(self, run: Run, identity: str | None) -> Any:
        import mlflow
        from accelerate.tracking import MLflowTracker

        folder = run.path.absolute()
        self._own = not mlflow.is_tracking_uri_set()  # type: ignore[no-untyped-call]
        if self._own:
            mlflow.set_tracking_uri(f"sqlite:///{folder / 'mlflow.db'}")
        self._uri = mlflow.get_tracking_uri()
        return MLflowTracker(
            PROJECT,
            logging_dir=(folder / "mlruns").as_uri() if self._own else None,
            nested_run=mlflow.active_run() is not None,
            run_name=run.name,
            run_id=identity,
        )

    @property
    def identity(self) -> str:
        """MLflow's id of the run."""
        return str(self.tracker.tracker.info.run_id)

    @property
    def where(self) -> str:
        """The store."""
        if not self._own:
            return redacted(self._uri)
        file = self.run.path / "mlflow.db"
        return f"{file}; {shlex.join(['mlflow', 'ui', '--backend-store-uri', f'sqlite:///{file}'])}"

    def epoch(self, values: Mapping[str, float], epoch: int) -> None:
        """Record metrics after an epoch."""
        self._send()
        super().epoch(values, epoch)

    def batch(self, values: Mapping[str, float], epoch: int, step: int) -> None:
        """Record losses of batches, when it is time."""
        from mlflow.entities import Metric

        now = int(1000 * time.time())
        self._waiting += [Metric(name, value, now, step) for name, value in values.items()]
        if time.monotonic() - self._sent > INTERVAL or len(self._waiting) > MOST:
            self._send()

    def _send(self) -> None:
        import mlflow

        waiting, self._waiting = self._waiting, []
        if waiting:
            mlflow.MlflowClient().log_batch(self.identity, metrics=waiting)
        self._sent = time.monotonic()

    def _end(self, status: str, ending: Ending) -> None:
        import mlflow

        try:
            self._send()
            mlflow.set_tag("status", status)
        finally:
            mlflow.end_run(ending)
            self._leave()

    def _leave(self) -> None:
        """Let MLflow go where it went before."""
        if self._own:
            import mlflow

            mlflow.set_tracking_uri(None)  # type: ignore[arg-type]  # as it was


class WandB(RunTracker):
    """Offline in ``RUN/wandb``, unless the environment configures Weights & Biases."""

    name = "wandb"

    def _tracker(self, run: Run, identity: str | None) -> Any:
        from accelerate.tracking import WandBTracker

        self._online = any(os.environ.get(f"WANDB_{name}") for name in ("MODE", "API_KEY", "BASE_URL"))
        given = {"dir": str(run.path.absolute()), "name": run.name}
        chosen = {key: value for key, value in given.items() if f"WANDB_{key.upper()}" not in os.environ}
        mode = {} if self._online else {"mode": "offline"}
        again = {"id": identity, "resume": "allow"} if identity else {}
        return WandBTracker(os.environ.get("WANDB_PROJECT", PROJECT), **chosen, **mode, **again)

    @property
    def identity(self) -> str:
        """Its id of the run."""
        return str(self.tracker.tracker.id)

    @property
    def where(self) -> str:
        """The folder, or that the environment decides."""
        if self._online:
            return "as the environment says"
        return f"offline in {self.run.path / 'wandb'}; `wandb sync` sends it, WANDB_MODE=online sends at once"

    def options(self, values: Mapping[str, Scalar]) -> None:
        """Record hyperparameters, and that metrics are drawn by epoch: its own steps must not go back."""
        self.tracker.tracker.define_metric("*", step_metric="epoch")
        self.tracker.tracker.define_metric("train/batch_*", step_metric="batch")
        super().options(values)

    def epoch(self, values: Mapping[str, float], epoch: int) -> None:
        """Record metrics after an epoch."""
        self.tracker.log({**values, "epoch": epoch})

    def batch(self, values: Mapping[str, float], epoch: int, step: int) -> None:
        """Record losses of batches."""
        self.tracker.log({**values, "batch": step})

    def _end(self, status: str, ending: Ending) -> None:
        self.tracker.tracker.summary["status"] = status
        self.tracker.tracker.finish(exit_code=int(ending != "FINISHED"))


def open_tracker(name: str, run: Run, identity: str | None = None) -> RunTracker:
    """Open a tracker on a run.

    Args:
        name: One of :data:`~clsbench.training.tracker_names.TRACKERS`.
        run: Its directory is there.
        identity: Of the record to go on with.
    """
    for variable, value in ENVIRONMENT.get(name, {}).items():
        os.environ.setdefault(variable, value)
    kinds: tuple[type[RunTracker], ...] = (TensorBoard, MLflow, WandB)
    return {kind.name: kind for kind in kinds}[name](run, identity)


@contextmanager
def _quiet() -> Iterator[None]:
    """Within, MLflow's logger and Python's warnings say only what is wrong."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        import mlflow  # noqa: F401  sets the level of its logger

        logger = logging.getLogger("mlflow")
        level = logger.level
        logger.setLevel(logging.ERROR)
        try:
            yield
        finally:
            logger.setLevel(level)
