"""What this process may use of the machine, and what it must not import."""

from __future__ import annotations

import math
import os
import platform
import re
import sys
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path


def available_cores(cgroup: Path = Path("/sys/fs/cgroup")) -> int:
    """Cores this process may use: its affinity, no more than its cgroup's CPU quota, shared evenly with its like.

    Args:
        cgroup: Where the control group's files are (version 2's ``cpu.max``, or version 1's).
    """
    if hasattr(os, "sched_getaffinity"):
        cores = len(os.sched_getaffinity(0))
    else:  # macOS
        cores = os.cpu_count() or 1
    for quota_file, period_file in (("cpu.max", None), ("cpu/cpu.cfs_quota_us", "cpu/cpu.cfs_period_us")):
        try:
            words = (cgroup / quota_file).read_text().split()
            if period_file:
                words += (cgroup / period_file).read_text().split()
            quota, period = float(words[0]), float(words[1])
        except (OSError, ValueError, IndexError):  # no such file, or "max": no quota
            continue
        if quota > 0:
            cores = min(cores, max(1, math.ceil(quota / period)))
    return max(1, cores // processes_here())


def processes_here() -> int:
    """Processes of one program that were started together on this machine, as ``torchrun`` and the like tell them."""
    given = os.environ.get("LOCAL_WORLD_SIZE", "")
    return max(1, int(given)) if given.isdecimal() else 1


def wait_passively() -> None:
    """Let idle threads of OpenMP sleep rather than spin; has an effect only before torch is loaded.

    Where another process wants the cores, threads that spin take the time of those they wait for:
    training a small network beside one busy process takes some twenty times as long. A user's own
    setting of any of these variables stands.
    """
    if not any(name in os.environ for name in ("OMP_WAIT_POLICY", "GOMP_SPINCOUNT", "KMP_BLOCKTIME")):
        os.environ["OMP_WAIT_POLICY"] = "PASSIVE"


def cache_folder() -> Path:
    """Where downloads, measurements and engines are kept: ``$XDG_CACHE_HOME/clsbench``.

    Of a user without a home it is in the folder for temporary files.
    """
    try:
        cache = Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache")
    except RuntimeError:
        cache = Path(tempfile.gettempdir())
    return cache / "clsbench"


def cpu_name(cpuinfo: Path = Path("/proc/cpuinfo")) -> str:
    """The processor's name, as the system reports it."""
    try:
        for line in cpuinfo.read_text(encoding="utf-8").splitlines():
            if line.startswith("model name"):
                return line.partition(":")[2].strip()
    except OSError:
        pass
    return platform.processor() or platform.machine()


def available_memory(cgroup: Path = Path("/sys/fs/cgroup"), meminfo: Path = Path("/proc/meminfo")) -> int:
    """Bytes of memory this process may still take: what the system has, and what its cgroup leaves."""
    try:
        fields = dict(line.split(":", 1) for line in meminfo.read_text(encoding="utf-8").splitlines() if ":" in line)
        available = int(fields["MemAvailable"].split()[0]) * 1024
    except (OSError, KeyError, ValueError):  # macOS: half of what there is
        available = os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE") // 2
    try:
        limit, used = ((cgroup / name).read_text().strip() for name in ("memory.max", "memory.current"))
        stat = (cgroup / "memory.stat").read_text() if (cgroup / "memory.stat").is_file() else ""
        files = re.search(r"^inactive_file (\d+)$", stat, re.MULTILINE)
        # What the page cache holds counts as used, and is given up when it is needed.
        taken = int(used) - (int(files[1]) if files else 0)
        available = min(available, max(0, int(limit) - taken))
    except (OSError, ValueError):  # no such file, or "max": no limit
        pass
    return available


@contextmanager
def without_package(name: str) -> Iterator[None]:
    """Let nothing import a package meanwhile, and forget that afterwards.

    For libraries that report their use through a package which they can do without: OpenVINO and NNCF through
    ``openvino_telemetry``, as soon as they are imported.

    Args:
        name: Of the package, at the top level.

    >>> with without_package("colorsys"):
    ...     import colorsys
    Traceback (most recent call last):
    ModuleNotFoundError: import of colorsys halted; None in sys.modules
    >>> import colorsys
    """
    before = {module: sys.modules.pop(module) for module in list(sys.modules) if module.partition(".")[0] == name}
    sys.modules[name] = None  # type: ignore[assignment]  # documented: importing it raises ModuleNotFoundError
    try:
        yield
    finally:
        del sys.modules[name]
        sys.modules.update(before)
