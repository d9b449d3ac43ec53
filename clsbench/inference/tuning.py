"""Choosing streams × threads × batch size by measuring this model on this machine.

The best choice cannot be known from the network's name: caches, cores and kernels decide.
A choice is kept under the model's hash, the machine, the device with its names and driver, and
the version of ONNX Runtime, so that only the first large job measures. A GPU is measured as jobs
use it: in pinned memory, through the same calls. TensorRT is not: it builds an engine for every
batch size, which takes minutes each.
"""

from __future__ import annotations

import itertools
import statistics
import threading
import time
from collections.abc import Callable, Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any

import numpy as np

from clsbench.card import INPUT_NAME, OUTPUT_NAME
from clsbench.errors import DeviceMemoryError
from clsbench.inference.backend import GraphLevel, Plan
from clsbench.inference.cuda_driver import gpu_versions, pinned
from clsbench.inference.devices import DeviceRequest
from clsbench.inference.gpu_slot import GpuSlot
from clsbench.inference.interrupts import Calls
from clsbench.inference.sessions import open_session
from clsbench.inference.tuning_cache import keep, machine_facts, recall, version_facts
from clsbench.machine import available_cores
from clsbench.model_file import model_hash

#: Batch sizes tried, by mode, on the CPU (larger ones leave its cache) and on a GPU.
CPU_BATCHES = {"quick": (1, 2, 4, 8, 32), "full": (1, 2, 4, 8, 16, 32, 64)}
GPU_BATCHES = {"quick": (32, 64, 128), "full": (16, 32, 64, 128, 256)}

#: Without a measurement: images a call, and batches in flight on each GPU.
CPU_BATCH, GPU_BATCH, GPU_STREAMS = 4, 64, 2

#: Seconds of one measurement, and how many of each candidate; interleaved, medians.
WINDOW, ROUNDS = {"quick": 0.1, "full": 0.5}, {"quick": 3, "full": 5}

#: A smaller batch within this of the best is preferred: less memory, a shorter tail.
CLOSE_ENOUGH = 0.98

#: A call split over threads has to be faster alone by this factor: beside decoders it waits
#: for whichever of its threads has lost its core (12 % on two cores, EfficientNet-Lite0).
SPLIT_COST = 1.15

#: Core-seconds that a batch costs beside the model: locks, rows, wake-ups, and caches that
#: decoding has emptied. Measured as 0.3 to 2 ms; it makes batches of one a bad choice.
BATCH_OVERHEAD = 1e-3

#: How far ONNX Runtime rewrites a graph, and how much faster ``extended`` has to be: the layouts that ``all`` adds make
#: convolutions 1.3 to 2.6 times as fast here (ResNet-50, EfficientNet-Lite0) and change nothing for ViT-B/16, but have
#: made some networks slower (onnxruntime#26992).
LEVELS: tuple[GraphLevel, GraphLevel] = ("all", "extended")
LEVEL_GAIN = 1.05

#: Once a call takes longer than this, seconds, larger batches are not tried.
LONGEST_CALL = 0.25


def rule(device: DeviceRequest, given: Mapping[str, int | None]) -> Plan:
    """What suits most networks, without a measurement."""
    if device.kind != "cpu":
        return Plan(given.get("streams") or GPU_STREAMS, 1, given.get("batch_size") or GPU_BATCH)
    threads = given.get("threads") or 1
    streams = given.get("streams") or max(1, available_cores() // threads)
    return Plan(streams, threads, given.get("batch_size") or CPU_BATCH)


def plan_for(
    file: Path,
    device: DeviceRequest,
    size: tuple[int, int],
    *,
    mode: str,
    given: Mapping[str, int | None],
    tf32: bool = True,
    graph_level: GraphLevel | None = None,
) -> Plan:
    """The plan for a model on a device: given, cached, measured, or by rule.

    Args:
        file: The model.
        device: Settled, see :func:`clsbench.inference.devices.choose`.
        size: (h, w) of its input.
        mode: ``off``, ``cached``, ``quick`` or ``full``.
        given: Numbers the user fixed; they are kept.
        tf32: Whether a GPU may use TF32.
        graph_level: How far ONNX Runtime is to rewrite the graph; ``full`` tries both on a CPU if None.
    """
    fixed = {name: value for name, value in given.items() if value is not None}
    by_rule = rule(device, given)
    if mode == "off" or len(fixed) == 3 or device.kind == "tensorrt":
        return by_rule
    if device.kind != "cpu" and len(fixed.keys() - {"threads"}) == 2:
        return by_rule
    key = _key(file, device, fixed, tf32=tf32) + (f" | {graph_level}" if graph_level else "")
    if cached := _recall(key, full=mode == "full"):
        return cached
    if mode == "cached":
        return by_rule
    opener, allocate = _opener(file, device, tf32=tf32, graph_level=graph_level or "all")
    plan = measure(candidates(device, mode, fixed), opener, size, mode=mode, allocate=allocate)
    if mode == "full" and device.kind == "cpu" and graph_level is None:
        openers = {level: _opener(file, device, tf32=tf32, graph_level=level)[0] for level in LEVELS}
        plan = replace(plan, graph_level=better_level(plan, openers, size, mode=mode))
    keep(key, {**asdict(plan), "mode": mode})
    return plan


def better_level(
    plan: Plan, openers: Mapping[GraphLevel, Callable[[int], Callable[[Any], Any]]], size: tuple[int, int], *, mode: str
) -> GraphLevel:
    """How far ONNX Runtime should rewrite the graph: ``extended`` only where that is clearly faster than ``all``.

    Args:
        plan: The best one.
        openers: Level -> what opens the model with so many threads a call.
        size: (h, w).
        mode: ``quick`` or ``full``.
    """
    images = np.zeros((plan.batch_size, *size, 3), np.uint8)
    runners = {level: openers[level](plan.threads) for level in LEVELS}
    rates: dict[GraphLevel, list[float]] = {level: [] for level in LEVELS}
    for level in LEVELS * ROUNDS[mode]:
        rates[level].append(throughput(runners[level], images, plan.streams, WINDOW[mode]))
    whole, extended = (statistics.median(rates[level]) for level in LEVELS)
    return "extended" if extended > LEVEL_GAIN * whole else "all"


def candidates(device: DeviceRequest, mode: str, fixed: Mapping[str, int]) -> list[Plan]:
    """The plans worth trying: all cores in use, in different shapes."""
    if device.kind != "cpu":
        pairs = [(streams, 1) for streams in ((1, 2, 3) if mode == "full" else (GPU_STREAMS,))]
        batches = GPU_BATCHES[mode]
    else:
        cores = available_cores()
        divisors = [n for n in range(1, cores + 1) if cores % n == 0]
        threads = divisors if mode == "full" else [1]
        pairs = [(max(1, cores // t), t) for t in threads]
        batches = CPU_BATCHES[mode]
    plans = {
        Plan(fixed.get("streams", s), fixed.get("threads", t), fixed.get("batch_size", b), "measured")
        for (s, t), b in itertools.product(pairs, batches)
    }
    return sorted(plans, key=lambda p: (p.threads, p.streams, p.batch_size))


def measure(
    plans: list[Plan],
    open_runner: Callable[[int], Callable[[Any], Any]],
    size: tuple[int, int],
    *,
    mode: str,
    allocate: Callable[[tuple[int, ...]], Any] = lambda shape: np.zeros(shape, np.uint8),
) -> Plan:
    """The plan with the highest rate; the smallest batch among those close to it.

    Batches that a GPU has no memory for are left out.

    Args:
        plans: Candidates.
        open_runner: Threads of one call -> a function of uint8 (N, h, w, 3).
        size: (h, w).
        mode: ``quick`` or ``full``.
        allocate: Shape -> memory for a batch, uint8.

    Raises:
        DeviceMemoryError: if no batch fits.
    """
    runners = {threads: open_runner(threads) for threads in sorted({p.threads for p in plans})}
    memory = {count: allocate((count, *size, 3)) for count in {plan.batch_size for plan in plans}}
    rates = _rates(plans, runners, memory, mode)
    scores = {plan: _score(plan, statistics.median(values)) for plan, values in rates.items() if values}
    best = max(scores.values())
    return min(
        (plan for plan, score in scores.items() if score >= CLOSE_ENOUGH * best),
        key=lambda plan: (plan.batch_size, plan.threads),
    )


def _rates(
    plans: list[Plan], runners: Mapping[int, Callable[[Any], Any]], memory: Mapping[int, Any], mode: str
) -> dict[Plan, list[float]]:
    """Images a second of each plan, round by round; of some none.

    Raises:
        DeviceMemoryError: if no batch fits.
    """
    rates: dict[Plan, list[float]] = {plan: [] for plan in plans}
    largest: dict[int, int] = {}  # threads of a call -> the largest batch that is fast enough, and fits
    shortage: DeviceMemoryError | None = None
    for plan in plans * ROUNDS[mode]:
        if not rates[plan] and plan.batch_size > largest.get(plan.threads, plan.batch_size):
            continue
        try:
            rate = throughput(runners[plan.threads], memory[plan.batch_size], plan.streams, WINDOW[mode])
        except DeviceMemoryError as error:
            shortage = error
            largest[plan.threads] = min(largest.get(plan.threads, plan.batch_size), plan.batch_size - 1)
            continue
        rates[plan].append(rate)
        if plan.streams * plan.batch_size / rate > LONGEST_CALL:
            largest.setdefault(plan.threads, plan.batch_size)
    if shortage is not None and not any(rates.values()):
        raise shortage
    return rates


def _score(plan: Plan, rate: float) -> float:
    """Images a second that a model-only rate is worth inside the pipeline."""
    if plan.threads > 1:
        rate /= SPLIT_COST
    return 1 / (1 / rate + BATCH_OVERHEAD / (plan.batch_size * plan.streams))


def throughput(run: Callable[[Any], Any], images: Any, streams: int, seconds: float) -> float:
    """Images a second of ``streams`` concurrent callers, each calling for ``seconds`` after a warm-up.

    Raises:
        Exception: as ``run`` raised it.
    """
    ready = threading.Barrier(streams)

    def call() -> tuple[int, float]:
        try:
            run(images)
        except BaseException:
            ready.abort()  # or the others would wait for this one for ever
            raise
        ready.wait()
        started, done = time.perf_counter(), 0
        while (passed := time.perf_counter() - started) < seconds:
            run(images)
            done += len(images)
        return done, passed

    with ThreadPoolExecutor(streams) as pool:
        futures = [pool.submit(call) for _ in range(streams)]
    errors = [error for future in futures if (error := future.exception())]
    if errors:
        raise next((error for error in errors if not isinstance(error, threading.BrokenBarrierError)), errors[0])
    results = [future.result() for future in futures]
    return sum(done / passed for done, passed in results)


def _opener(
    file: Path, device: DeviceRequest, *, tf32: bool, graph_level: GraphLevel
) -> tuple[Callable[[int], Callable[[Any], Any]], Callable[[tuple[int, ...]], Any]]:
    """What opens the model with so many threads a call, and what gives memory for a batch."""
    index, calls = device.indices[0] if device.indices else 0, Calls()

    def opener(threads: int) -> Callable[[Any], Any]:
        session = open_session(
            file, device.kind, index=index, threads=threads, allow_fallback=True, tf32=tf32, graph_level=graph_level
        )
        if device.kind == "cpu":
            return lambda images: session.run([OUTPUT_NAME], {INPUT_NAME: images})
        return lambda images: GpuSlot(session, device.kind, index, len(images)).run(images, calls, (OUTPUT_NAME,))

    def allocate(shape: tuple[int, ...]) -> Any:
        memory = None if device.kind == "cpu" else pinned(shape, index)
        return np.zeros(shape, np.uint8) if memory is None else memory

    return opener, allocate


def _key(file: Path, device: DeviceRequest, fixed: Mapping[str, int], *, tf32: bool) -> str:
    where = f"{device.kind} {len(device.indices)}"
    if device.kind != "cpu":
        where += "".join(f", {name} {version}" for name, version in gpu_versions().items())
        where += "" if tf32 else ", no tf32"
    return " | ".join((model_hash(file), machine_facts(), where, version_facts(), str(sorted(fixed.items()))))


def _recall(key: str, *, full: bool) -> Plan | None:
    """The plan kept under a key; None where there is none, or it cannot be used."""
    kept = recall(key)
    if kept is None or (full and kept.get("mode") != "full"):
        return None
    found = [kept.get(name) for name in ("streams", "threads", "batch_size")]
    numbers = [number for number in found if type(number) is int and number > 0]
    if len(numbers) < len(found):  # damaged, or written by another version
        return None
    level = kept.get("graph_level")
    return Plan(numbers[0], numbers[1], numbers[2], "cache", level if level in LEVELS else None)
