"""Rules for executors: one row an entry, in order, whatever fails, with bounded memory."""

from __future__ import annotations

import dataclasses
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any, TypeVar

import numpy as np

from clsbench.errors import ModelError
from clsbench.guard import Opener
from clsbench.images.entries import BytesEntry, Entry
from clsbench.inference.backend import DeviceInfo, Plan
from clsbench.inference.executors import SerialExecutor
from clsbench.inference.job import Execution, JobSpec
from clsbench.model_file import read_card
from clsbench.predictions.block import Predictions
from clsbench.testing import job_parts
from clsbench.testing.component_rules import RULES as COMPONENT_RULES
from clsbench.testing.component_rules import check_built
from clsbench.testing.rules import Subject, require, rule
from clsbench.testing.samples import encoded, noise, write_model
from clsbench.text import counted, some

T = TypeVar("T")

#: Images of the job whose memory is watched, where the author gives no other number.
MANY = 2000

#: Images of the other jobs, several batches of them.
IMAGES = 21

#: Seconds after which a job is taken to hang, and those within which reading has to settle.
PATIENCE, SETTLES = 60.0, 3.0


@rule("takes-its-arguments", "options-have-defaults")
def builds(subject: Subject) -> None:
    """``build()`` returns an executor with ``run(spec, entries)``."""
    check_built(subject, _executor(subject))


@rule("builds")
def rows_in_order(subject: Subject) -> None:
    """Each entry has one row, in the order of the entries, in consecutive blocks of :class:`clsbench.Predictions`."""
    with _job(subject) as spec:
        blocks = _run(subject, spec, _images(subject))
    odd = [type(block).__name__ for block in blocks if not isinstance(block, Predictions)]
    require(not odd, f"it yielded {some(odd)}")
    names, right = [name for block in blocks for name in block.names], [entry.name for entry in _images(subject)]
    differ = next((pair for pair in zip(right, names, strict=False) if pair[0] != pair[1]), None)
    require(
        names == right,
        f"{counted(len(names), 'row')} for {counted(len(right), 'image')}; the first that differs: {differ}",
    )


@rule("builds", "rows-in-order")
def logits_of_serial(subject: Subject) -> None:
    """The logits of each row, and the features where they are asked for, are those of the built-in ``serial``."""
    for features in (False, True):
        with _job(subject, features=features) as spec:
            found, right = _run(subject, spec, _images(subject)), list(SerialExecutor().run(spec, _images(subject)))
        for column in ("logits", "features") if spec.features else ("logits",):
            parts = [getattr(block, column) for block in found]
            require(
                all(part is not None for part in parts), f"the blocks have no {column} although the job asks for them"
            )
            ours, theirs = np.concatenate(parts), np.concatenate([getattr(block, column) for block in right])
            require(ours.shape == theirs.shape, f"{column} have shape {ours.shape} instead of {theirs.shape}")
            require(np.allclose(ours, theirs, 1e-3, 1e-4, equal_nan=True), f"the {column} are not those of serial")


@rule("builds", "rows-in-order")
def failures_are_rows(subject: Subject) -> None:
    """An image that cannot be read, decoded or is too large is a row with serial's error; its neighbours stay."""
    entries: list[Entry] = [
        BytesEntry("garbage.png", b"not an image"),
        *_images(subject)[:3],
        BytesEntry("empty.png", b""),
        job_parts.UnreadableEntry("gone.png"),
        job_parts.UnreadableEntry("odd.png", odd=True),
        BytesEntry("huge.png", encoded(noise(1, (40, 40))[0])),
        *_images(subject)[3:5],
    ]
    with _job(subject, max_pixels=1000) as spec:
        found, right = _run(subject, spec, entries), list(SerialExecutor().run(spec, entries))
    for column in ("errors", "reasons"):
        ours, theirs = ([row for block in blocks for row in getattr(block, column)] for blocks in (found, right))
        wrong = [entry.name for entry, one, two in zip(entries, ours, theirs, strict=False) if one != two]
        require(ours == theirs, f"other {column} than those of serial: {some(wrong) or f'{len(ours)} of them'}")


@rule("builds", "rows-in-order")
def runs_again(subject: Subject) -> None:
    """A second job of the same executor, on other images, has its own rows."""
    with _job(subject) as spec:
        _run(subject, spec, _images(subject))
        names = [name for block in _run(subject, spec, _images(subject)[5:9]) for name in block.names]
    require(names == [entry.name for entry in _images(subject)[5:9]], f"the second job has the rows {some(names)}")


@rule("builds", "rows-in-order")
def no_images_are_no_rows(subject: Subject) -> None:
    """A job without images ends without a block, and without an error."""
    with _job(subject) as spec:
        blocks = _run(subject, spec, [])
    require(not blocks, f"it yielded {counted(len(blocks), 'block')} although there are no images")


@rule("builds", "rows-in-order")
def says_where_it_ran(subject: Subject) -> None:
    """``execution`` is an :class:`clsbench.Execution` from the first block on: on which device, and how."""
    with _job(subject) as spec:
        blocks = _started(subject, spec, _images(subject))
        _within(lambda: next(blocks))
        first = _executor(subject).execution
        _within(lambda: list(blocks))
        last = _executor(subject).execution
    for when, found in (("after the first block", first), ("at the end", last)):
        parts = (found.device, found.plan) if isinstance(found, Execution) else (None, None)
        right = isinstance(parts[0], DeviceInfo) and isinstance(parts[1], Plan)
        require(right, f"{when} execution is {found!r:.100}, not a clsbench.Execution")


@rule("builds", "rows-in-order")
def a_failing_backend_ends_the_job(subject: Subject) -> None:
    """An error of the backend comes out of the iterator as it is: it neither hangs nor ends as if all were well."""
    with _job(subject) as spec:
        failing = dataclasses.replace(spec, backend=Opener(job_parts.open_failing, {}, "kit/failing"), features=False)
        try:
            rows = sum(len(block.names) for block in _run(subject, failing, _images(subject)))
        except ModelError as error:
            require("burnt out" in str(error), f"it raised another error: {error}")
            return
    raise AssertionError(f"it ended without an error, with {counted(rows, 'row')}")


@rule("builds", "rows-in-order", "runs-again")
def can_be_cancelled(subject: Subject) -> None:
    """Closed after the first block, the iterator stops reading soon, and the executor can run the next job."""
    with _job(subject) as spec, TemporaryDirectory() as folder:
        log, total = Path(folder) / "reads", _many(subject)
        blocks = _started(subject, spec, _counted(log, total))
        require(hasattr(blocks, "close"), "run returned an iterator that cannot be closed")
        _within(lambda: next(blocks))
        _within(blocks.close)
        read = _settled(log)
        time.sleep(0.2)
        require(log.stat().st_size == read, "images are still read seconds after the job was closed")
        names = [name for block in _run(subject, spec, _images(subject)) for name in block.names]
    require(names == [entry.name for entry in _images(subject)], "after a cancelled job the next one has other rows")


@rule("builds", "rows-in-order", "can-be-cancelled")
def memory_is_bounded(subject: Subject) -> None:
    """Work waits until blocks are taken: of many images, far from all are read while the first block is looked at."""
    with _job(subject) as spec, TemporaryDirectory() as folder:
        log, total = Path(folder) / "reads", _many(subject)
        blocks = _started(subject, spec, _counted(log, total))
        _within(lambda: next(blocks))
        read = _settled(log)
        _within(blocks.close)
    require(read <= total // 2, f"read when one block had been taken: {read} of {counted(total, 'image')}")


def _executor(subject: Subject) -> Any:
    return subject.fact("executor", subject.build)


def _started(subject: Subject, spec: JobSpec, entries: Sequence[Entry]) -> Any:
    return iter(_executor(subject).run(spec, entries))


def _run(subject: Subject, spec: JobSpec, entries: Sequence[Entry]) -> list[Predictions]:
    return _within(lambda: list(_started(subject, spec, entries)))


def _within(function: Callable[[], T]) -> T:
    """Call it; one that does not come back is broken, and left alone."""
    answers: list[T] = []
    errors: list[BaseException] = []

    def call() -> None:
        try:
            answers.append(function())
        except BaseException as error:  # noqa: BLE001  raised again in the caller's thread
            errors.append(error)

    thread = threading.Thread(target=call, daemon=True)
    thread.start()
    thread.join(PATIENCE)
    require(not thread.is_alive(), f"it hangs: nothing happened for {PATIENCE:.0f} seconds")
    if errors:
        raise errors[0]
    return answers[0]


@contextmanager
def _job(subject: Subject, *, features: bool = False, max_pixels: int | None = None) -> Iterator[JobSpec]:
    """A job of the kit's model, or the author's, in batches of four."""
    with TemporaryDirectory() as folder:
        file = subject.input("model") or write_model(Path(folder) / "model.onnx")
        opener = Opener(job_parts.open_backend, {}, "kit/onnxruntime")
        yield JobSpec(
            model=file, card=read_card(file), backend=opener, device="cpu", batch_size=4,
            features=features and read_card(file).feature_dim is not None, max_pixels=max_pixels,
        )  # fmt: skip


def _images(subject: Subject) -> list[Entry]:
    if "entries" in subject.inputs:
        return list(subject.input("entries"))
    return [BytesEntry(f"{k}.png", encoded(noise(1, (8 + k % 3, 9), seed=k)[0])) for k in range(IMAGES)]


def _counted(log: Path, total: int) -> list[Entry]:
    log.touch()
    data = encoded(noise(1, (8, 9))[0])
    return [job_parts.CountedEntry(f"{k}.png", data, str(log)) for k in range(total)]


def _many(subject: Subject) -> int:
    return int(subject.input("many", MANY))


def _settled(log: Path) -> int:
    """How many images have been read when no more are, or those until patience ends."""
    read, deadline = -1, time.monotonic() + SETTLES
    while (now := log.stat().st_size) != read and time.monotonic() < deadline:
        read = now
        time.sleep(0.2)
    return now


RULES = (
    *COMPONENT_RULES,
    builds,
    rows_in_order,
    logits_of_serial,
    failures_are_rows,
    runs_again,
    no_images_are_no_rows,
    says_where_it_ran,
    a_failing_backend_ends_the_job,
    can_be_cancelled,
    memory_is_bounded,
)
