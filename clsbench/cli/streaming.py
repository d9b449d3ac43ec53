"""Results as a stream on stdout, which its reader may close early, as ``head`` does."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING

import typer

if TYPE_CHECKING:
    from clsbench.cli.terminal import Terminal


@contextmanager
def reader_may_leave(terminal: Terminal) -> Iterator[None]:
    """End quietly, with exit code 1 as rich and click do, when nobody reads stdout any more.

    Source: the note on SIGPIPE in the documentation of Python's module signal.
    """
    try:
        yield
    except BrokenPipeError:
        # What is left in its buffer would be an error when the process ends.
        os.dup2(os.open(os.devnull, os.O_WRONLY), terminal.stream.fileno())
        raise typer.Exit(1) from None
