import ctypes
import platform
import subprocess
import sys
from types import SimpleNamespace

import pytest

from clsbench.training.allocator import keep_freed_memory

FAULTS = """
import resource, sys
import numpy as np
from clsbench.training.allocator import keep_freed_memory
if sys.argv[1] == "kept":
    keep_freed_memory()
np.ones(1 << 20)
before = resource.getrusage(resource.RUSAGE_SELF).ru_minflt
for _ in range(20):
    np.ones(1 << 20)
print(resource.getrusage(resource.RUSAGE_SELF).ru_minflt - before)
"""


@pytest.mark.skipif(platform.libc_ver()[0] != "glibc", reason="another allocator")
def test_large_blocks_that_were_freed_are_taken_again_without_asking_the_system():
    kept, mapped = (
        int(subprocess.run([sys.executable, "-c", FAULTS, how], capture_output=True, text=True, check=True).stdout)
        for how in ("kept", "mapped")
    )
    assert kept < mapped / 4


@pytest.mark.parametrize(("system", "library"), [("darwin", None), ("linux", SimpleNamespace())])
def test_other_allocators_are_left_as_they_are(system, library, monkeypatch):
    asked = []
    monkeypatch.setattr(sys, "platform", system)
    monkeypatch.setattr(ctypes, "CDLL", lambda name: asked.append(name) or library)
    keep_freed_memory()
    assert len(asked) == (system == "linux")
