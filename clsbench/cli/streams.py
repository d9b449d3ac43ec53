"""The standard streams, made so that no terminal, pipe or full disk ends a command before its work is done.

Characters that the terminal's encoding lacks are replaced: dashes, quotes and arrows by ASCII, others by escapes such
as ``\\xe9``. A stream that was closed takes everything and shows nothing. A pipe whose reader has gone, or a full disk,
does the same from then on, and :func:`failure` tells at the end.

What libraries print to file descriptor 1 themselves, past ``sys.stdout``, goes to stderr: stdout carries results.
"""

from __future__ import annotations

import codecs
import io
import os
import sys
from typing import TextIO

#: Name of the error handler, and what stands for the punctuation that our own messages use.
HANDLER = "clsbench.replaced"
_ASCII = {"…": "...", "–": "-", "—": "-", "−": "-", "×": "x", "·": "|", "→": "->", "±": "+-", "≤": "<=", "≥": ">="}
_ASCII |= dict.fromkeys("“”„", '"') | dict.fromkeys("‘’", "'") | {"━": "-", "╸": "-", "╺": "-"}


class Output(io.TextIOWrapper):
    """A text stream that never raises an OSError; its ``buffer`` does.

    Args:
        descriptor: Of the file, which stays open.
        encoding: Of the characters.
        interactive: Whether each line is to be seen at once.
    """

    def __init__(self, descriptor: int, encoding: str, *, interactive: bool) -> None:
        file = open(descriptor, "wb", closefd=False)  # noqa: SIM115  it lives as long as the program
        super().__init__(file, encoding=encoding, errors=HANDLER, line_buffering=interactive)
        #: The first error, after which nothing arrives any more.
        self.failure: OSError | None = None

    def write(self, text: str) -> int:
        """Write a text, if it can be."""
        try:
            return super().write(text)
        except OSError as error:
            self._give_up(error)
            return len(text)

    def flush(self) -> None:
        """Write what is held back, if it can be."""
        try:
            super().flush()
        except OSError as error:
            self._give_up(error)

    def _give_up(self, error: OSError) -> None:
        if self.failure is None:
            self.failure = error
            _point(self.fileno(), os.devnull)  # so that what is held back has somewhere to go


def prepare() -> None:
    """Replace ``sys.stdout`` and ``sys.stderr``; once, as the program starts."""
    codecs.register_error(HANDLER, _replaced)
    if os.name != "posix":  # elsewhere a console is more than a file descriptor
        for stream in (sys.stdout, sys.stderr):
            if isinstance(stream, io.TextIOWrapper):
                stream.reconfigure(errors=HANDLER)
        return
    _open_closed()
    out, err = (getattr(stream, "encoding", None) or "utf-8" for stream in (sys.stdout, sys.stderr))
    results = os.dup(1)
    os.dup2(2, 1)
    stdout = Output(results, out, interactive=os.isatty(results))
    sys.stdout = sys.__stdout__ = stdout  # type: ignore[misc]  # rich asks the second for the width
    sys.stderr = Output(2, err, interactive=True)


def failure() -> OSError | None:
    """Why results did not arrive at stdout, if they did not."""
    if not isinstance(sys.stdout, Output):
        return None
    sys.stdout.flush()
    return sys.stdout.failure


def same_file(first: TextIO, second: TextIO) -> bool:
    """Whether two streams go to one file, pipe or terminal."""
    try:
        return os.path.samestat(os.fstat(first.fileno()), os.fstat(second.fileno()))
    except (OSError, ValueError):  # no file at all
        return False


def _replaced(error: UnicodeError) -> tuple[str, int]:
    if not isinstance(error, UnicodeEncodeError):
        raise error
    characters = error.object[error.start : error.end]
    return "".join(_ASCII.get(c) or c.encode("ascii", "backslashreplace").decode() for c in characters), error.end


def _open_closed() -> None:
    """Give closed standard streams a place, or the next file to be opened would take it, and their output."""
    while (descriptor := os.open(os.devnull, os.O_RDWR)) <= 2:
        pass
    os.close(descriptor)


def _point(descriptor: int, path: str) -> None:
    opened = os.open(path, os.O_WRONLY)
    os.dup2(opened, descriptor)
    os.close(opened)
