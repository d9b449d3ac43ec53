"""Measuring a model: alone, and from files to labels, in windows that must agree.

A figure counts only when three windows in a row agree within 10 % (as in NVIDIA's
perf_analyzer); the windows of model, decoding and the whole pipeline take turns, so that
a noisy machine disturbs all of them alike and their ratios hold.
"""

from __future__ import annotations

import statistics
import time
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from clsbench.card import ModelCard
from clsbench.images.entries import Entry
from clsbench.images.loader import ImageLoader
from clsbench.inference.backend import Backend, allocate, check_backend, classify
from clsbench.inference.pipeline import Pipeline
from clsbench.inference.tuning import throughput
from clsbench.machine import available_cores

Scenario = Literal["offline", "single-stream"]

#: Windows that must agree, within what, and after how many rounds to give up.
AGREEING, SPREAD, MAX_ROUNDS = 3, 0.10, 10


@dataclass
class Figure:
    """A rate, images a second, window by window."""

    windows: list[float] = field(default_factory=list)

    @property
    def stable(self) -> bool:
        """Whether the last three windows agree."""
        last = self.windows[-AGREEING:]
        return len(last) == AGREEING and min(last) > 0 and max(last) / min(last) <= 1 + SPREAD

    @property
    def value(self) -> float:
        """The median of the last three windows where they agree, else of all."""
        return statistics.median(self.windows[-AGREEING:] if self.stable else self.windows)

    def to_json(self) -> dict[str, Any]:
        """Plain values."""
        return {"images_per_second": self.value, "stable": self.stable, "windows": self.windows}


@dataclass
class Benchmark:
    """What was measured of one model at one batch size.

    Args:
        model: The file.
        batch_size: Images a call.
        streams: Concurrent calls.
        shares_cores: Whether model and decoders share the cores.
        warm_up: Seconds: opening the model, and its first call.
        latencies: Seconds of single calls in the model-only windows.
        model_only, decode_only, end_to_end: Rates.
        accounted: The limit by the pipeline's own busy times, window by window.
    """

    model: str
    batch_size: int
    streams: int
    shares_cores: bool
    warm_up: tuple[float, float]
    latencies: list[float] = field(default_factory=list)
    model_only: Figure = field(default_factory=Figure)
    decode_only: Figure = field(default_factory=Figure)
    end_to_end: Figure = field(default_factory=Figure)
    accounted: Figure = field(default_factory=Figure)

    @property
    def limit(self) -> float:
        """What the rates taken apart allow: their series on shared cores, else the slower one."""
        model, decode = self.model_only.value, self.decode_only.value
        if not model or not decode:
            return 0.0
        return 1 / (1 / model + 1 / decode) if self.shares_cores else min(model, decode)

    @property
    def fraction(self) -> float:
        """End to end over the limit, both from the same rounds; at most 1.

        The limit is put together from windows of its own, so end to end may come out above it.
        """
        return min(1.0, self.end_to_end.value / self.limit) if self.limit else 0.0

    @property
    def stable(self) -> bool:
        """Whether every rate is."""
        return all(f.stable for f in (self.model_only, self.decode_only, self.end_to_end))

    def percentile(self, percent: float) -> float:
        """A percentile of the latencies, milliseconds."""
        return float(1000 * np.percentile(self.latencies, percent)) if self.latencies else 0.0

    def to_json(self) -> dict[str, Any]:
        """Plain values."""
        return {
            "model": self.model,
            "batch_size": self.batch_size,
            "streams": self.streams,
            "stable": self.stable,
            "warm_up_seconds": {"open": self.warm_up[0], "first_call": self.warm_up[1]},
            "latency_ms": {f"p{p}": self.percentile(p) for p in (50, 90, 99)},
            "model_only": self.model_only.to_json(),
            "decode_only": self.decode_only.to_json(),
            "end_to_end": self.end_to_end.to_json(),
            "limit": self.limit,
            "accounted_limit": self.accounted.to_json(),
            "fraction_of_limit": self.fraction,
        }


def run_benchmark(
    file: Path,
    card: ModelCard,
    open_backend: Callable[[], Backend],
    entries: Sequence[Entry],
    *,
    batch_size: int | None,
    scenario: Scenario = "offline",
    window: float = 1.0,
    on_round: Callable[[int], None] = lambda done: None,
) -> Benchmark:
    """Measure a model until three windows of each rate agree, or ten rounds are over.

    Args:
        file: The model, for the table.
        card: Its card.
        open_backend: Opens it; timed as part of the warm-up.
        entries: Images for decoding and the whole pipeline.
        batch_size: Images a call; the backend's choice by default.
        scenario: ``offline``: as many calls at once as the backend likes;
            ``single-stream``: one after the other.
        window: Seconds of one window.
        on_round: Called with the number of rounds done.
    """
    started = time.perf_counter()
    with closing(open_backend()) as backend:
        check_backend(backend)
        opened = time.perf_counter()
        size = batch_size or backend.batch_size
        (images,) = allocate(backend, (size, *card.transform.size, 3), 1)
        classify(backend, images, len(card.classes))
        streams = 1 if scenario == "single-stream" else backend.streams
        warm_up = (opened - started, time.perf_counter() - opened)
        made = Benchmark(str(file), size, streams, backend.shares_cores, warm_up)
        for done in range(MAX_ROUNDS):
            _measure(made, card, backend, images, entries, window)
            on_round(done + 1)
            if made.stable:
                break
    return made


def _measure(
    made: Benchmark,
    card: ModelCard,
    backend: Backend,
    images: NDArray[np.uint8],
    entries: Sequence[Entry],
    window: float,
) -> None:
    """One round: a window of each rate."""

    def timed(batch: NDArray[np.uint8]) -> None:
        begun = time.perf_counter()
        backend(batch)
        made.latencies.append(time.perf_counter() - begun)

    loader, cores = ImageLoader(card.transform), available_cores()
    made.model_only.windows.append(throughput(timed, images, made.streams, window))
    made.decode_only.windows.append(decode_rate(loader, entries, cores, window))
    rate = made.end_to_end.windows[-1] if made.end_to_end.windows else made.model_only.value
    pipeline = Pipeline(loader, backend, classes=len(card.classes), decode_threads=cores, batch_size=made.batch_size)
    for _ in pipeline.run(_enough(entries, int(rate * window) + 2 * made.batch_size)):
        pass
    if pipeline.timing:
        made.end_to_end.windows.append(pipeline.timing.steady_images_per_second)
        made.accounted.windows.append(pipeline.timing.limit().images_per_second)


def decode_rate(loader: ImageLoader, entries: Sequence[Entry], threads: int, seconds: float) -> float:
    """Images a second that ``threads`` threads read, decode and resize, doing nothing else."""

    def work(offset: int) -> tuple[int, float]:
        started, done = time.perf_counter(), 0
        while (passed := time.perf_counter() - started) < seconds:
            loader(entries[(offset + done * threads) % len(entries)])
            done += 1
        return done, passed

    with ThreadPoolExecutor(threads) as pool:
        return sum(done / passed for done, passed in pool.map(work, range(threads)))


def _enough(entries: Sequence[Entry], count: int) -> list[Entry]:
    """``count`` entries, repeated as often as needed."""
    return [entries[i % len(entries)] for i in range(count)]


def environment_json() -> dict[str, Any]:
    """What figures depend on beside the code, as plain values."""
    import platform

    from clsbench import __version__
    from clsbench.inference.cuda_driver import gpu_versions
    from clsbench.inference.diagnostics import installed_version
    from clsbench.machine import cpu_name

    packages = ("numpy", "pillow", "simplejpeg", "cykooz.resizer", "onnx", "onnxruntime", "onnxruntime-gpu")
    return {
        "clsbench": __version__,
        "python": platform.python_version(),
        "platform": platform.platform(),
        "processor": cpu_name(),
        "cores": available_cores(),
        "packages": {name: found for name in packages if (found := installed_version(name))},
        "gpu": gpu_versions() or None,
    }
