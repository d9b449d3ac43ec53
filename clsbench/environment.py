"""Environment: what a run ran on, for its record: versions, hardware, and the state of the code beside it."""

from __future__ import annotations

import platform
import subprocess
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from importlib.metadata import PackageNotFoundError, version

from clsbench.machine import available_cores, cpu_name

#: Packages that pixels and numbers depend on, beside torch.
PACKAGES = ("torchvision", "numpy", "pillow", "simplejpeg", "cykooz.resizer", "accelerate", "safetensors")

#: Seconds that git may take.
PATIENCE = 5.0


@dataclass(frozen=True, kw_only=True)
class GitState:
    """The git repository of the working directory.

    Args:
        commit: Its full hash.
        dirty: Whether a tracked file has been changed since.
    """

    commit: str
    dirty: bool


@dataclass(frozen=True, kw_only=True)
class Environment:
    """What a run ran on.

    Args:
        python, system: Of the interpreter and the operating system.
        packages: Distribution -> version.
        cpu: The processor's name.
        cores: That this process may use.
        gpus: Names of the GPUs that are there.
        git: Of the working directory; None where that is no git repository, or git is not installed.
    """

    python: str = ""
    system: str = ""
    packages: Mapping[str, str] = field(default_factory=dict)
    cpu: str = ""
    cores: int = 0
    gpus: tuple[str, ...] = ()
    git: GitState | None = None


def environment(gpus: Sequence[str] = (), distributions: Iterable[str] = ()) -> Environment:
    """What this process runs on.

    Args:
        gpus: Names of the GPUs that are there.
        distributions: Further ones whose versions count, such as those of plugins.
    """
    found = {}
    for name in dict.fromkeys((*PACKAGES, *distributions)):
        try:
            found[name] = version(name)
        except PackageNotFoundError:
            continue
    return Environment(
        python=platform.python_version(),
        system=platform.platform(),
        packages=found,
        cpu=cpu_name(),
        cores=available_cores(),
        gpus=tuple(gpus),
        git=git_state(),
    )


def git_state() -> GitState | None:
    """The state of the git repository that the working directory is in, if it is in one."""
    # Nothing that the repository configures is run for it, and nothing is written.
    asked = ("git", "--no-optional-locks", "-c", "core.fsmonitor=false", "status", "--porcelain=v2", "--branch", "-uno")
    try:
        done = subprocess.run(asked, capture_output=True, text=True, errors="replace", timeout=PATIENCE, check=True)
    except (OSError, subprocess.SubprocessError):
        return None
    lines = done.stdout.splitlines()
    commit = next((line.rpartition(" ")[2] for line in lines if line.startswith("# branch.oid ")), "(initial)")
    changed = any(not line.startswith("#") for line in lines)
    return None if commit == "(initial)" else GitState(commit=commit, dirty=changed)
