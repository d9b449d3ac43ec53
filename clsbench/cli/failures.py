"""What a failed command prints, and its exit code: one clear message, and no traceback."""

from __future__ import annotations

import errno
import os
import sys

import typer

from clsbench.cli import streams
from clsbench.errors import ClsbenchError, DataError, Terminated
from clsbench.text import abridged, printable

INTERRUPTED, TERMINATED = 130, 143

#: As of a program that the system ends because nobody reads its output any more.
BROKEN_PIPE = 141


def explain(error: BaseException) -> int:
    """Print what went wrong, and what became of the files that were being written.

    Args:
        error: That ended the command; an interrupt may be wrapped, since libraries that are being imported or closed
            wrap it.

    Returns:
        The exit code.
    """
    chain = _chain(error)
    notes = [note for link in chain for note in getattr(link, "__notes__", ())]
    if any(isinstance(link, KeyboardInterrupt | Terminated) for link in chain) or isinstance(error, SystemExit):
        _print(["interrupted", *(f"  {note}" for note in notes)])
        return TERMINATED if any(isinstance(link, Terminated) for link in chain) else INTERRUPTED
    if isinstance(error, OSError):
        error = _of_the_system(error)
    elif isinstance(error, MemoryError):
        error = ClsbenchError("there is not enough memory", hint="try smaller batches, or fewer threads")
    if isinstance(error, ClsbenchError):
        _print([_titled(error), *(f"  {note}" for note in notes)], colour=typer.colors.RED)
        return error.exit_code
    fault = "  this is a fault of clsbench, not of yours; CLSBENCH_DEBUG=1 shows where"
    _print([f"error: {type(error).__name__}: {error}", fault])
    return 1


def _titled(error: ClsbenchError) -> str:
    """An error's text with its code, and where more about that is to be read."""
    if error.code is None:
        return f"error: {error}"
    return f"error [{error.code}]: {error}\n  more: clsbench --code {error.code}"


def delivered(code: int) -> int:
    """The exit code of a command that ended with ``code``, if its results did not arrive at stdout."""
    error = streams.failure()
    if error is None or code:
        return code
    if error.errno == errno.EPIPE:
        return BROKEN_PIPE
    return explain(DataError("the results cannot be written", where="stdout", got=error.strerror))


def _of_the_system(error: OSError) -> ClsbenchError:
    """An error of the system that nothing has explained: the disk is full, a file may not be read, …"""
    names = (error.filename, error.filename2)
    files = " and ".join(os.fsdecode(name) for name in names if isinstance(name, str | bytes))
    hint = "free some space on the disk" if error.errno in (errno.ENOSPC, errno.EDQUOT) else None
    return ClsbenchError(
        "a file cannot be read or written", where=files or None, got=error.strerror or error, hint=hint
    )


def _chain(error: BaseException | None) -> list[BaseException]:
    """An error and those behind it."""
    chain: list[BaseException] = []
    while error is not None and error not in chain:
        chain.append(error)
        error = error.__cause__ or error.__context__
    return chain


def _print(lines: list[str], colour: str | None = None) -> None:
    shown = printable(abridged("\n".join(lines)))
    typer.secho(shown, err=True, fg=colour if sys.stderr.isatty() and "NO_COLOR" not in os.environ else None)
