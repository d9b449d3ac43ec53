"""What libraries in C and C++ write to standard error, for the errors that they only log."""

from __future__ import annotations

import os
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager

STDERR = 2


@contextmanager
def native_messages() -> Iterator[list[str]]:
    """Hold back what is written to standard error meanwhile; the list has its lines afterwards.

    Whoever does not use them passes them on with :func:`pass_on`. Other threads' lines are among them.
    """
    lines: list[str] = []
    try:
        before = os.dup(STDERR)
    except OSError:  # it is closed
        yield lines
        return
    with tempfile.TemporaryFile() as file:
        os.dup2(file.fileno(), STDERR)
        try:
            yield lines
        finally:
            os.dup2(before, STDERR)
            os.close(before)
            file.seek(0)
            lines += file.read().decode(errors="replace").splitlines(keepends=True)


def pass_on(lines: list[str]) -> None:
    """Write lines that were held back to standard error."""
    data = "".join(lines).encode(errors="replace")
    while data:
        data = data[os.write(STDERR, data) :]
