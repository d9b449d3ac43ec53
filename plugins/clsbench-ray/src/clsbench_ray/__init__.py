"""The executor ``ray``; see README.md.

This module is imported whenever an executor's name has to be looked up, so it imports nothing heavy: Ray itself waits
until a job runs.
"""

from __future__ import annotations

from collections.abc import Iterator

from clsbench import Component, hookimpl


@hookimpl
def register_executors() -> Iterator[Component]:
    """``ray``."""
    from clsbench_ray.executor import build

    yield Component("ray", build, "Ray Data: the processes of this machine, or of a cluster")
