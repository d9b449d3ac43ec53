"""Ordinary memory beside pinned memory, for gpu.py: copies alone, and batches on their way to a network."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from gpu_parts import Checks, Row, Settings


def measured(settings: Settings) -> tuple[list[Row], Checks]:
    """GB/s of plain copies, and images/s of the first network in float16, by the memory that is copied from."""
    import torch

    device, size = torch.device(settings.device), 1 << (20 if settings.small else 28)
    rows: list[Row] = []
    for memory in ("ordinary", "pinned") if device.type == "cuda" else ("ordinary",):
        host = torch.zeros(size, dtype=torch.uint8, pin_memory=memory == "pinned")
        rows.append({"copied from": memory, "GB/s": _copy_rate(host, device)})
    batches, checks = _batches(settings)
    return rows + batches, checks


def _copy_rate(host: Any, device: Any) -> float:
    import torch
    from gpu_parts import synchronise

    rates: list[float] = []
    there = torch.empty_like(host, device=device)
    for _ in range(5):
        started = time.perf_counter()
        there.copy_(host, non_blocking=True)
        synchronise(device)
        rates.append(host.nbytes / 1e9 / (time.perf_counter() - started))
    return sorted(rates)[2]


def _batches(settings: Settings) -> tuple[list[Row], Checks]:
    """The same batches through the same backend, from each kind of memory; a batch is copied inside of its call."""
    import numpy as np
    import torch
    from gpu_parts import rate

    from clsbench.inference.backend import allocate

    size, streams = (2 if settings.small else 128), 2
    name = settings.models[0]
    rows: list[Row] = []
    file = settings.file(name, "float16")
    with settings.opened(file, settings.device, batch_size=size, streams=streams) as (backend, card):
        shape = (size, *card.transform.size, 3)
        given = allocate(backend, shape, streams)
        ordinary = [np.empty(shape, np.uint8) for _ in range(streams)]
        for batch in (*given, *ordinary):
            batch[:] = 1  # or all of it is one page of zeros
        for memory, batches in (("ordinary", ordinary), ("of the backend", given), ("ordinary, again", ordinary)):
            images, cores = rate(backend, batches, settings.seconds)
            rows.append({"copied from": memory, "model": name, "batch": size, "images/s": images, "cores": cores})
        if settings.device == "cpu":
            return rows, []
        is_pinned = all(torch.from_numpy(batch).is_pinned() for batch in given)
        return rows, [("batches are pinned", is_pinned and backend.device.pinned is True, "ordinary memory")]
