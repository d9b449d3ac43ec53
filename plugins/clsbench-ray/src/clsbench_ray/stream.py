"""The chunks of a job through a Ray Data pipeline, with no more of them under way than the caller keeps up with."""

from __future__ import annotations

import zlib
from collections.abc import Callable, Generator, Sequence
from dataclasses import dataclass
from typing import Any

from clsbench import Entry
from clsbench_ray.layout import Layout
from clsbench_ray.worker import Task, Worker


@dataclass
class Window:
    """How far Ray may be ahead of the caller.

    Args:
        size: In chunks.
        taken: How many the caller has taken.
    """

    size: int
    taken: int = 0


def answers(
    task: Task, entries: Sequence[Entry], size: int, layout: Layout, window: Window
) -> Generator[Any, None, None]:
    """What the workers answer to each chunk, in order: a pickled :class:`clsbench_ray.worker.Answer`, as a buffer.

    Args:
        task: For the workers.
        entries: All images.
        size: Images of a chunk.
        layout: Of the workers.
        window: Its ``taken`` is counted by the caller.

    Raises:
        Exception: Ray's own.
    """
    import ray
    from ray.data import ActorPoolStrategy

    chunks = [{"number": k, "entries": pack(entries[start : start + size])}
              for k, start in enumerate(range(0, len(entries), size))]  # fmt: skip
    dataset = ray.data.from_items(chunks, override_num_blocks=len(chunks))
    del chunks
    mapped = dataset.map_batches(
        Worker,
        fn_constructor_args=(ray.put(task),),
        batch_size=None,
        batch_format="pyarrow",
        zero_copy_batch=True,
        compute=ActorPoolStrategy(size=layout.workers, max_tasks_in_flight_per_actor=2),
        num_cpus=layout.cores,
        num_gpus=layout.gpus,
    )
    context = mapped.context
    context.enable_progress_bars = context.print_on_execution_start = False
    context.execution_options.preserve_order = True
    policies = "backpressure_policies.enabled"
    context.set_config(policies, [*_usual_policies(), _policy(window)])
    for number, table in enumerate(mapped.iter_batches(batch_size=None, batch_format="pyarrow", prefetch_batches=0)):
        assert table["number"].to_pylist() == [number], "Ray Data has changed the order"
        yield table["answer"][0].as_buffer()


def pack(entries: Sequence[Entry]) -> bytes:
    """Entries for the way to a worker. Paths shrink to a tenth, so that millions of them fit the caller's memory."""
    from ray import cloudpickle

    return zlib.compress(cloudpickle.dumps(list(entries), 5), 1)


def _usual_policies() -> list[Any]:
    from ray.data._internal.execution import backpressure_policy

    return list(backpressure_policy.ENABLED_BACKPRESSURE_POLICIES)


def _policy(window: Window) -> Callable[..., Any]:
    """A rule for Ray Data's scheduler: its own count bytes, of which predictions have few, and would let it run ahead.

    It is made here, around the window, since Ray copies its settings, but no class.
    """
    from ray.data._internal.execution.backpressure_policy import BackpressurePolicy

    class Ahead(BackpressurePolicy):  # type: ignore[misc]
        def can_add_input(self, op: Any) -> bool:
            """Whether another chunk may be sent."""
            return bool(op.metrics.num_inputs_received < window.taken + window.size)

    return Ahead
