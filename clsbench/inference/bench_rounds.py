"""Measuring models: alone, and from files to labels, in rounds.

A round has a window of each rate of each row, so that a noisy machine disturbs all of them
alike and their ratios hold. A row whose rates are stable rests; the first one, to which the
others are compared, is measured until the end.
"""

from __future__ import annotations

import statistics
import time
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, closing, suppress
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from clsbench.card import ModelCard
from clsbench.errors import ClsbenchError, DataError
from clsbench.images.entries import Entry
from clsbench.images.loader import ImageLoader
from clsbench.inference.backend import Backend, allocate, check_backend, classify
from clsbench.inference.bench import MAX_ROUNDS, Benchmark, Figure, Scenario, first_measured
from clsbench.inference.pipeline import Pipeline
from clsbench.inference.tuning import throughput
from clsbench.machine import available_cores, available_memory
from clsbench.predictions.values import Proportion
from clsbench.text import counted
from clsbench.transform import ImageTransform

#: Memory that an open model takes, as a multiple of its file: weights, packed weights, and what a call needs.
MEMORY = 4


@dataclass(frozen=True, kw_only=True)
class Contender:
    """A row to measure.

    Args:
        model: The file.
        card: Its card.
        engine: What it is opened in, for the table.
        open: Opens it; timed as part of the warm-up.
        batch_size: Images a call; the backend's choice if None.
        labels: int64 (n,) of the judged images, -1 where unknown; None without labels.
    """

    model: Path
    card: ModelCard
    engine: str
    open: Callable[[], Backend]
    batch_size: int | None = None
    labels: NDArray[np.int64] | None = None


@dataclass
class _Runner:
    """A row that is open.

    Args:
        made: What has been measured.
        row: What is measured.
        backend: With the model in it.
        images: uint8 (N, h, w, 3), a batch for the model alone.
    """

    made: Benchmark
    row: Contender
    backend: Backend
    images: NDArray[np.uint8]

    def pipeline(self) -> Pipeline:
        loader = ImageLoader(self.row.card.transform)
        return Pipeline(
            loader, self.backend, classes=len(self.row.card.classes), decode_threads=available_cores(),
            batch_size=self.made.batch_size,
        )  # fmt: skip

    def measure(self, entries: Sequence[Entry], window: float) -> None:
        """A window of the model alone, and one of the whole pipeline."""
        made = self.made

        def timed(batch: NDArray[np.uint8]) -> None:
            begun = time.perf_counter()
            self.backend(batch)
            made.latencies.append(time.perf_counter() - begun)

        made.model_only.windows.append(throughput(timed, self.images, made.streams, window))
        rate = made.end_to_end.windows[-1] if made.end_to_end.windows else made.limit
        pipeline = self.pipeline()
        for _ in pipeline.run(_enough(entries, int(rate * window) + 2 * len(self.images))):
            pass
        if pipeline.timing:
            made.end_to_end.windows.append(pipeline.timing.steady_images_per_second)
            made.accounted.windows.append(pipeline.timing.limit().images_per_second)


def fits_memory(rows: Sequence[Contender]) -> bool:
    """Whether all models can be open at once, so that the windows of the rows take turns."""
    return MEMORY * sum(row.model.stat().st_size for row in rows if row.model.is_file()) < available_memory()


def run_benchmarks(
    rows: Sequence[Contender],
    entries: Sequence[Entry],
    *,
    judged: Sequence[Entry],
    scenario: Scenario = "offline",
    window: float = 1.0,
    rounds: int | None = None,
    together: bool = True,
    stage: Callable[[str, int], None] = lambda name, total: None,
    step: Callable[[int], None] = lambda count: None,
) -> list[Benchmark]:
    """Measure rows until three windows of each rate agree, or the rounds are over.

    A row that cannot be measured says why; the others go on.

    Args:
        rows: What to measure; the others are compared with the first one that can be.
        entries: Images for decoding and the whole pipeline.
        judged: Images for accuracy and agreement; none where these are not asked for.
        scenario: ``offline``: as many calls at once as the backend likes;
            ``single-stream``: one after the other.
        window: Seconds of one window.
        rounds: How many at most; :data:`MAX_ROUNDS` if None.
        together: Whether the rows take turns; else one is measured after the other, each alone in memory.
        stage: Told what begins, and of how many steps it is.
        step: Told of steps that are done.
    """
    made: list[Benchmark] = []
    answers: list[NDArray[np.str_] | None] = []
    for group in [list(rows)] if together else [[row] for row in rows]:
        with ExitStack() as stack:
            runners = []
            stage(_named(group, "opening"), len(group))
            for row in group:
                made.append(Benchmark(model=str(row.model), engine=row.engine, batch_size=row.batch_size))
                runner = _opened(row, made[-1], scenario, stack)
                answers.append(_judge(runner, judged) if runner and judged else None)
                runners += [runner] if runner else []
                step(1)
            stage(_named(group, "measuring"), rounds or MAX_ROUNDS)
            _rounds(runners, entries, window, rounds or MAX_ROUNDS, step)
    _compare(rows, made, answers)
    return made


def _named(rows: Sequence[Contender], what: str) -> str:
    row = rows[0]
    if len(rows) > 1:
        return f"{what} {counted(len(rows), 'row')}"
    return f"{what} {row.model.name} in {row.engine}, batches of {row.batch_size or 'its choice'}"


def _opened(row: Contender, made: Benchmark, scenario: Scenario, stack: ExitStack) -> _Runner | None:
    """The row with its model open and called once; None where that failed, which ``made`` then says."""
    started = time.perf_counter()
    try:
        backend = stack.enter_context(closing(row.open()))
        check_backend(backend)
        opened = time.perf_counter()
        made.batch_size = row.batch_size or backend.batch_size
        (images,) = allocate(backend, (made.batch_size, *row.card.transform.size, 3), 1)
        classify(backend, images, len(row.card.classes))
    except ClsbenchError as error:
        made.failure = error
        return None
    made.warm_up = (opened - started, time.perf_counter() - opened)
    made.streams = 1 if scenario == "single-stream" else backend.streams
    made.shares_cores, made.device = backend.shares_cores, backend.device
    return _Runner(made, row, backend, images)


def _judge(runner: _Runner, judged: Sequence[Entry]) -> NDArray[np.str_] | None:
    """The names of the top-1 classes (n,), empty where an image could not be classified; notes the accuracy."""
    best, labels, reason = np.full(len(judged), -1), runner.row.labels, ""
    try:
        done = 0
        for block in runner.pipeline().run(judged):
            best[done : done + len(block.names)] = np.where(block.ok, block.top(1)[:, 0], -1)
            done += len(block.names)
            reason = reason or next((error for error in block.errors if error), "")
        if (best < 0).all():
            raise DataError("none of the images to measure with can be classified", where=judged[0].name, got=reason)
    except ClsbenchError as error:
        runner.made.failure = error
        return None
    if labels is not None and (known := (labels >= 0) & (best >= 0)).any():
        runner.made.accuracy = Proportion.of(int((best == labels)[known].sum()), int(known.sum()))
    names: NDArray[np.str_] = np.array([*runner.row.card.classes, ""])[best]
    return names


def _rounds(
    runners: list[_Runner], entries: Sequence[Entry], window: float, rounds: int, step: Callable[[int], None]
) -> None:
    decoding: dict[ImageTransform, Figure] = {}
    for runner in runners:
        runner.made.decode_only = decoding.setdefault(runner.row.card.transform, Figure())
    first = first_measured([runner.made for runner in runners])
    for _ in range(rounds):
        active = [r for r in runners if not r.made.failure and (r.made is first or not r.made.stable)]
        for transform in {runner.row.card.transform: None for runner in active}:
            rate = decode_rate(ImageLoader(transform), entries, available_cores(), window)
            decoding[transform].windows.append(rate)
        for runner in active:
            try:
                runner.measure(entries, window)
            except ClsbenchError as error:
                runner.made.failure = error
        step(1)
        if all(runner.made.stable or runner.made.failure for runner in runners):
            break


def _compare(rows: Sequence[Contender], made: Sequence[Benchmark], answers: Sequence[NDArray[np.str_] | None]) -> None:
    """Ratio and agreement of each row to the first one that was measured."""
    first = first_measured(made)
    if first is None:
        return
    position = next(k for k, one in enumerate(made) if one is first)
    theirs, known = answers[position], {*rows[position].card.classes}
    for row, one, ours in zip(rows, made, answers, strict=True):
        if one.failure:
            continue
        pairs = zip(one.end_to_end.windows, first.end_to_end.windows, strict=False)
        ratios = [a / b for a, b in pairs if b > 0]
        one.ratio = statistics.median(ratios) if ratios else None
        if ours is None or theirs is None:
            continue
        both = (ours != "") & (theirs != "")
        if both.any() and known & {*row.card.classes}:
            one.agreement = Proportion.of(int((ours == theirs)[both].sum()), int(both.sum()))


def decode_rate(loader: ImageLoader, entries: Sequence[Entry], threads: int, seconds: float) -> float:
    """Images a second that ``threads`` threads read, decode and resize, doing nothing else."""

    def work(offset: int) -> tuple[int, float]:
        started, done = time.perf_counter(), 0
        while (passed := time.perf_counter() - started) < seconds:
            with suppress(ClsbenchError):  # an image that cannot be read takes its time too
                loader(entries[(offset + done * threads) % len(entries)])
            done += 1
        return done, passed

    with ThreadPoolExecutor(threads) as pool:
        return sum(done / passed for done, passed in pool.map(work, range(threads)))


def _enough(entries: Sequence[Entry], count: int) -> list[Entry]:
    """``count`` entries, repeated as often as needed."""
    return [entries[i % len(entries)] for i in range(count)]
