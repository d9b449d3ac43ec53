"""A connection to Ray, quiet and without usage statistics, and the nodes that it has.

A cluster of the user's is left running; a local one that was started here is stopped.
"""

from __future__ import annotations

import logging
import os
import signal
import socket
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from clsbench import DeviceError, OptionError, available_cores

#: Read by Ray when it is imported and when it starts; what the user has set stands.
USAGE, ACCELERATORS, LEVEL = "RAY_USAGE_STATS_ENABLED", "RAY_ACCEL_ENV_VAR_OVERRIDE_ON_ZERO", "RAY_BACKEND_LOG_LEVEL"

#: Seconds that a cluster has to answer.
PATIENCE = 20.0

STDERR = 2


@dataclass(frozen=True)
class Node:
    """A machine of the cluster: how many cores and GPUs it lends to jobs."""

    cores: int
    gpus: float = 0.0


@contextmanager
def connected(address: str | None) -> Iterator[list[Node]]:
    """Ray's nodes, while there is a connection; one that is there already is used, and stays.

    Args:
        address: ``HOST:PORT`` of a cluster, or ``auto`` for the one that ``ray start`` has started here. None is
            ``$RAY_ADDRESS``, or a cluster of this machine's own for the time of the job.

    Raises:
        OptionError: for an address of Ray Client, which Ray Data does not support.
        DeviceError: if no cluster answers.
    """
    where = address or os.environ.get("RAY_ADDRESS") or "local"
    if where.startswith("ray://"):
        raise OptionError(
            "Ray Data does not run over Ray Client", where="executor.address", got=where,
            hint="run clsbench on a node of the cluster with address=auto, or submit it with ray job submit",
        )  # fmt: skip
    os.environ.setdefault(USAGE, "0")
    os.environ.setdefault(ACCELERATORS, "0")
    import ray

    mine = not ray.is_initialized()
    try:
        if mine:
            _connect(ray, where)
        yield [
            Node(int(node["Resources"].get("CPU", 0)), float(node["Resources"].get("GPU", 0)))
            for node in ray.nodes()
            if node["Alive"]
        ]
    finally:
        if mine:
            ray.shutdown()


def _connect(ray: Any, where: str) -> None:
    """Start or join a cluster; signals stay with whoever has them now."""
    options: dict[str, Any] = {"log_to_driver": False, "configure_logging": False}
    if where == "local":
        options |= {"num_cpus": available_cores(), "include_dashboard": False}
    handler = signal.getsignal(signal.SIGTERM)
    try:
        _knock(where)
        with _quiet():
            ray.init(where, **options)
    except (OSError, RuntimeError, ValueError) as error:
        hint = (
            "check the address (ray status), that the cluster runs the same versions of Python and Ray, and that a "
            "cluster with token authentication has RAY_AUTH_MODE=token and its token here"
        )
        raise DeviceError("no Ray cluster answers", where=where, got=f"{error}"[:300], hint=hint) from error
    finally:
        if threading.current_thread() is threading.main_thread() and handler is not None:
            signal.signal(signal.SIGTERM, handler)


def _knock(where: str) -> None:
    """Raise an OSError if nothing listens there, which Ray takes minutes to find out."""
    host, colon, port = where.rpartition(":")
    if colon and port.isdecimal():
        socket.create_connection((host.strip("[]"), int(port)), PATIENCE).close()


@contextmanager
def _quiet() -> Iterator[None]:
    """Keep what Ray logs out of the terminal, where a progress bar is: it is in Ray's own files all the same.

    Its C++ part writes to standard error itself and reads its level when it starts. ``CLSBENCH_DEBUG=1`` shows all.
    """
    if os.environ.get("CLSBENCH_DEBUG"):
        yield
        return
    os.environ.setdefault("RAY_DATA_LOGGING_CONFIG", str(Path(__file__).with_name("logging.yaml")))
    logging.getLogger("ray").setLevel(logging.ERROR)
    given = os.environ.get(LEVEL)
    os.environ.setdefault(LEVEL, "fatal")
    sys.stderr.flush()
    before, nowhere = os.dup(STDERR), os.open(os.devnull, os.O_WRONLY)
    os.dup2(nowhere, STDERR)
    try:
        yield
    finally:
        os.dup2(before, STDERR)
        os.close(before)
        os.close(nowhere)
        if given is None:
            del os.environ[LEVEL]
