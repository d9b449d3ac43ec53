"""The executor ``ray``: chunks of entries through Ray Data, to actors that hold an open model each.

    entries -> chunks, pickled -> Ray Data -> workers: decode, classify -> blocks, pickled -> caller, in order

The scheduling is Ray's: which worker gets which chunk, what happens when one dies, and in which order the answers come.
"""

from __future__ import annotations

import importlib.util
import inspect
import os
import pickle
from collections.abc import Iterator, Sequence
from dataclasses import replace
from typing import Any

from clsbench import Entry, Execution, JobSpec, PluginError, Predictions, available_cores
from clsbench_ray.cluster import connected
from clsbench_ray.layout import AHEAD, Layout, chunk_size, lay_out
from clsbench_ray.stream import Window, answers
from clsbench_ray.times import Times
from clsbench_ray.worker import Answer, Task, probe


class RayExecutor:
    """Runs jobs on Ray; see ``register_executors`` of clsbench.

    Args: as those of :func:`build`.
    """

    def __init__(
        self, address: str | None, workers: int | None, cores: int | None, gpus: float | None, chunk: int | None
    ) -> None:
        self._address, self._chunk = address, chunk
        self._asked: dict[str, Any] = {"workers": workers, "cores": cores, "gpus": gpus}
        self.execution: Execution | None = None

    def run(self, spec: JobSpec, entries: Sequence[Entry]) -> Iterator[Predictions]:
        """Consecutive blocks in the order of the entries; the workers end with the iterator."""
        self.execution = None
        with connected(self._address) as nodes:
            layout = lay_out(nodes, spec.device, **self._asked)
            task, begun = _planned(spec, layout)
            self.execution = begun
            if not entries:
                return
            size = chunk_size(len(entries), layout.workers, begun.plan.batch_size, self._chunk)
            times, window = Times(layout), Window(layout.workers * AHEAD)
            for buffer in answers(task, entries, size, layout, window):
                times.begin()
                answer: Answer = pickle.loads(buffer)
                if answer.failure is not None:
                    raise answer.failure
                times.take(answer)
                yield from answer.blocks
                times.written()
                window.taken += 1
            self.execution = times.execution(begun)


def _planned(spec: JobSpec, layout: Layout) -> tuple[Task, Execution]:
    """The job for the workers, with the plan that one of them has found, so that all call the model alike.

    Batches of another size change the last digits of the logits, and workers that measure would not all choose one.

    Raises:
        ClsbenchError: if the model cannot be opened there.
    """
    import ray

    model, spec = spec.model.read_bytes(), replace(spec, model=spec.model.absolute())
    # What reads from a network has more threads than cores; else they are those of the worker.
    threads = spec.decode_threads if (spec.decode_threads or 0) > available_cores() else None
    task = Task(_dumped(replace(spec, decode_threads=threads)), model, os.getcwd(), layout.cores)
    look = ray.remote(num_cpus=layout.cores, num_gpus=layout.gpus, max_retries=1)(probe)
    answer: Answer = ray.get(look.remote(ray.put(task)))
    if answer.failure is not None:
        raise answer.failure
    execution = answer.execution
    assert execution is not None
    plan, takes = execution.plan, inspect.signature(spec.backend.build).parameters
    found = {"batch_size": plan.batch_size, "streams": plan.streams, "threads": plan.threads}
    options = {**spec.backend.options, **{name: value for name, value in found.items() if name in takes}}
    same = replace(spec, backend=replace(spec.backend, options=options), batch_size=plan.batch_size)
    return replace(task, spec=_dumped(replace(same, decode_threads=threads))), execution


def _dumped(spec: JobSpec) -> bytes:
    """The job, pickled; by value where a class is of the program itself."""
    from ray import cloudpickle

    pickled: bytes = cloudpickle.dumps(spec)
    return pickled


def build(
    *,
    address: str | None = None,
    workers: int | None = None,
    cores: int | None = None,
    gpus: float | None = None,
    chunk: int | None = None,
) -> RayExecutor:
    """The executor.

    Args:
        address: ``HOST:PORT`` of a Ray cluster, or ``auto`` for the one that ``ray start`` has started here. By
            default that of ``$RAY_ADDRESS``, or processes of this machine for the time of the job.
        workers: Processes that hold the model; by default one a GPU, or one a machine without GPUs.
        cores: Of each worker; by default all of its machine, shared evenly by the workers on it.
        gpus: Of each worker; 0.5 for two that share one.
        chunk: Images that a worker is sent at a time; by default up to 512.

    Raises:
        PluginError: if Ray is not installed.
    """
    missing = [name for name in ("ray", "pyarrow") if importlib.util.find_spec(name) is None]
    if missing:
        raise PluginError(f"{missing[0]} is not installed", where="executor ray", hint="pip install 'ray[data]'")
    return RayExecutor(address, workers, cores, gpus, chunk)
