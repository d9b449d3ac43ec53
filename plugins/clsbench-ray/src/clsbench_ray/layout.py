"""How a job is laid out on a cluster: how many workers, what each gets, and how many images it is sent at a time."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from clsbench import DeviceError, OptionError
from clsbench_ray.cluster import Node

#: Images of a chunk at most and at least, and the chunks that each worker gets of a job that is small for that.
MOST, LEAST, CHUNKS = 512, 32, 16

#: Chunks that may be under way or wait to be taken, for each worker: one at work, one that waits for it, and one that
#: is done earlier than those before it.
AHEAD = 3


@dataclass(frozen=True)
class Layout:
    """Workers of a job.

    Args:
        workers: How many.
        cores: Of each.
        gpus: Of each; below 1 they share one.
    """

    workers: int
    cores: int
    gpus: float = 0.0


def lay_out(
    nodes: Sequence[Node],
    device: str,
    *,
    workers: int | None = None,
    cores: int | None = None,
    gpus: float | None = None,
) -> Layout:
    """As few workers as use everything: one a GPU, or one a machine where there are none.

    A worker decodes and classifies in threads, as the local executor does, so pixels never leave it and another worker
    on its machine would only take its cores.

    Args:
        nodes: Of the cluster.
        device: What the job asks for; a worker has no GPU where that is ``cpu``.
        workers, cores, gpus: What the user fixed; ``gpus`` and ``cores`` are those of one worker.

    Raises:
        OptionError: if the numbers do not fit the cluster.
        DeviceError: if a GPU is asked for and there is none.

    >>> lay_out([Node(16, 2.0), Node(16, 2.0), Node(64)], "auto")
    Layout(workers=4, cores=8, gpus=1.0)
    >>> lay_out([Node(4)], "cpu", workers=2)
    Layout(workers=2, cores=2, gpus=0.0)
    """
    for name, value in {"workers": workers, "cores": cores}.items():
        if value is not None and value < 1:
            raise OptionError(f"{name} must be at least 1", where=f"executor.{name}", got=value)
    if gpus is not None and gpus < 0:
        raise OptionError("gpus must not be below 0", where="executor.gpus", got=gpus)
    share = _gpus(nodes, device, gpus)
    hosts = [node for node in nodes if node.cores and node.gpus >= share]
    if not hosts:
        raise OptionError(
            "no node of the cluster has what a worker needs", got=_described(nodes),
            expected=f"{share:g} GPUs and a core", hint="give executor.gpus and executor.cores that fit",
        )  # fmt: skip
    each = cores or _cores(hosts, share, workers)
    places = sum(_places(node, each, share) for node in hosts)
    if places < (workers or 1):
        raise OptionError(
            "the cluster has no room for the workers", got=_described(nodes),
            expected=f"{workers or 1} × ({each} cores, {share:g} GPUs)",
            hint="ask for fewer workers (executor.workers) or cores (executor.cores)",
        )  # fmt: skip
    return Layout(workers or places, each, share)


def chunk_size(images: int, workers: int, batch_size: int, asked: int | None = None) -> int:
    """Images that a worker is sent at a time: whole batches, so that these are those of the local executor.

    >>> chunk_size(2000, 1, 4), chunk_size(10**6, 8, 64), chunk_size(10, 8, 4)
    (128, 512, 32)
    """
    if asked is not None and asked < 1:
        raise OptionError("chunk must be at least 1", where="executor.chunk", got=asked)
    wanted = asked or max(LEAST, min(MOST, images // (workers * CHUNKS)))
    return -(-wanted // batch_size) * batch_size


def _gpus(nodes: Sequence[Node], device: str, asked: float | None) -> float:
    """GPUs of a worker."""
    there = any(node.gpus for node in nodes)
    if device.partition(":")[0] in ("cuda", "tensorrt") and not there:
        raise DeviceError("no node of the Ray cluster has a GPU", got=_described(nodes), hint="leave --device out")
    if asked is not None:
        return asked
    return 1.0 if there and device != "cpu" else 0.0


def _cores(hosts: Sequence[Node], share: float, workers: int | None) -> int:
    """Cores of a worker: a GPU's part of its machine, or the whole machine, or less where more workers are wanted."""
    parts = [int(node.cores / int(node.gpus / share)) if share else node.cores for node in hosts]
    most = max(1, min(parts))
    fitting = (n for n in range(most, 0, -1) if sum(_places(node, n, share) for node in hosts) >= (workers or 1))
    return next(fitting, 1)


def _places(node: Node, cores: int, share: float) -> int:
    """Workers that a node has room for."""
    by_cores = node.cores // cores
    return min(by_cores, int(node.gpus / share)) if share else by_cores


def _described(nodes: Sequence[Node]) -> str:
    return ", ".join(f"{node.cores} cores and {node.gpus:g} GPUs" for node in nodes) or "no node"
