"""Memory that one step frees and the next one takes again."""

from __future__ import annotations

import contextlib
import ctypes
import sys

#: glibc's names: the size from which memory is mapped anew each time, and the free memory at
#: the top of the heap that is given back (malloc.h).
M_MMAP_THRESHOLD, M_TRIM_THRESHOLD = -3, -1

#: Bytes; above any layer's output on a CPU.
KEPT = 1 << 28


def keep_freed_memory() -> None:
    """Let glibc keep large blocks for the next step, rather than give them back to the system.

    Otherwise every step of a small network maps some megabytes anew, and clearing those pages
    takes a third of its time. Other systems' allocators are left as they are.
    """
    if sys.platform == "linux":
        with contextlib.suppress(OSError, AttributeError):  # musl has no mallopt
            libc = ctypes.CDLL(None)
            libc.mallopt(M_MMAP_THRESHOLD, KEPT)
            libc.mallopt(M_TRIM_THRESHOLD, KEPT)
