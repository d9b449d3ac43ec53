"""What runs in the processes of the cluster: one open model each, and the local executor's threads around it.

Decoding happens in the worker that holds the model. Pixels of 224 × 224 are 150 kB an image: sent from a task that
decodes to an actor that classifies, they would cost more than what they are decoded from; file names cost 100 bytes.
"""

from __future__ import annotations

import contextlib
import os
import pickle
import tempfile
import uuid
import zlib
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from clsbench import (
    ClsbenchError,
    Entry,
    Execution,
    JobSpec,
    LocalJob,
    PluginError,
    Predictions,
    available_cores,
    open_job,
)

if TYPE_CHECKING:
    import pyarrow as pa


#: How often a chunk is begun on a machine. Ray starts a worker again that has died, and gives it the chunk again,
#: without end: an image that kills whoever reads it would occupy a worker for ever.
ATTEMPTS = 3


@dataclass(frozen=True)
class Task:
    """What a worker has to know of a job.

    Args:
        spec: The job, pickled.
        model: The model file's content, for a machine that does not have it.
        folder: Where the job was started; relative paths of images begin there.
        cores: Of the worker.
        job: A name that no other job has.
    """

    spec: bytes
    model: bytes
    folder: str
    cores: int
    job: str = field(default_factory=lambda: uuid.uuid4().hex)

    @contextlib.contextmanager
    def opened(self) -> Iterator[LocalJob]:
        """The job with its model open, in this process."""
        with contextlib.suppress(OSError):  # a machine without that folder reads what has whole paths
            os.chdir(self.folder)
        # The word of the local executor for processes that share a machine.
        os.environ["LOCAL_WORLD_SIZE"] = "1"
        here = available_cores()
        os.environ["LOCAL_WORLD_SIZE"] = str(max(1, here // self.cores))
        spec: JobSpec = pickle.loads(self.spec)
        with self._file(spec.model) as file, open_job(replace(spec, model=file)) as job:
            yield job

    @contextlib.contextmanager
    def attempt(self, number: int) -> Iterator[int]:
        """How often this machine has begun a chunk, this time included: more than once where workers died of it."""
        mark = Path(tempfile.gettempdir()) / f"clsbench-ray-{self.job}-{number}"
        with mark.open("ab") as file:
            file.write(b".")
        yield mark.stat().st_size
        mark.unlink(missing_ok=True)

    @contextlib.contextmanager
    def _file(self, model: Path) -> Iterator[Path]:
        """The model file of this machine if it is the same, else a copy."""
        with contextlib.suppress(OSError):
            if model.read_bytes() == self.model:
                yield model
                return
        with tempfile.TemporaryDirectory(prefix="clsbench-ray-") as folder:
            copy = Path(folder) / model.name
            copy.write_bytes(self.model)
            yield copy


@dataclass(frozen=True)
class Answer:
    """What came of a chunk.

    Args:
        blocks: Its predictions.
        execution: On what it ran; with times.
        failure: What ended the job instead.
    """

    blocks: tuple[Predictions, ...] = ()
    execution: Execution | None = None
    failure: BaseException | None = None


def probe(task: Task) -> Answer:
    """On what, and how, a worker runs the job: its device and plan."""
    try:
        with task.opened() as job:
            return Answer(execution=job.execution)
    except Exception as error:  # noqa: BLE001  raised where the job was started
        return Answer(failure=portable(error))


class Worker:
    """An actor of Ray Data: opens the model at its first chunk, and keeps it."""

    def __init__(self, task: Any) -> None:
        import ray

        self._task: Task = ray.get(task)
        self._job: LocalJob | None = None
        self._stack = contextlib.ExitStack()

    def __call__(self, table: pa.Table) -> pa.Table:
        """A table with a row: the pickled entries of a chunk -> its number and its pickled :class:`Answer`."""
        import pyarrow as pa

        chunk: bytes = zlib.decompress(table["entries"][0].as_buffer())
        with self._task.attempt(table["number"][0].as_py()) as attempt:
            answer = self._answer(chunk, attempt)
        return pa.table({"number": table["number"], "answer": pa.array([pickle.dumps(answer, 5)], pa.large_binary())})

    def _answer(self, chunk: bytes, attempt: int) -> Answer:
        try:
            entries: list[Entry] = pickle.loads(chunk)
            if attempt > ATTEMPTS:
                raise _deadly(entries)
            if self._job is None:
                self._job = self._stack.enter_context(self._task.opened())
            blocks = tuple(self._job.run(entries))
            return Answer(blocks, self._job.execution)
        except Exception as error:  # noqa: BLE001  raised where the job was started
            return Answer(failure=portable(error))


def _deadly(entries: Sequence[Entry]) -> PluginError:
    names = [entry.name for entry in entries]
    return PluginError(
        f"{ATTEMPTS} workers died, one after another, of the same images", where=f"{names[0]} to {names[-1]}",
        hint="a library crashed or memory ran out: infer these alone, with --executor serial, to see what happens",
    )  # fmt: skip


def portable(error: Exception) -> Exception:
    """The error, if it survives the way to another process, else one that says the same."""
    try:
        if type(pickle.loads(pickle.dumps(error))) is type(error):
            return error
    except Exception:  # noqa: BLE001  some exception that cannot be pickled, or not read back
        pass
    text = error.one_line() if isinstance(error, ClsbenchError) else f"{type(error).__name__}: {error}"
    return PluginError("a worker failed", got=text)
