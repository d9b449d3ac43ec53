"""Terminal: where the output of a command goes.

Results (tables, JSON asked for with ``--json -``) go to stdout, progress and notes to
stderr. With ``--json -`` or ``--out -`` stdout holds that alone, whatever a plugin prints.
"""

from __future__ import annotations

import sys
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any, BinaryIO

from clsbench.api.outputs import check_output
from clsbench.cli.streams import same_file
from clsbench.errors import OptionError
from clsbench.json_fields import dumps, write_json
from clsbench.text import abridged, command, printable

if TYPE_CHECKING:
    from rich.console import Console

    from clsbench.cli.progress import TerminalObserver


class Terminal:
    """The output of one command.

    Args:
        json: The value of ``--json``: a path, ``-`` for stdout, or None.
        quiet: No progress and no notes.
        streaming: Whether stdout is for :attr:`stream`; tables then go to stderr.
    """

    def __init__(self, *, json: str | None = None, quiet: bool = False, streaming: bool = False) -> None:
        if streaming and json == "-":
            raise OptionError("stdout cannot hold two results", got="--out - --json -", hint="give one of them a file")
        self._json, self.quiet, self._streaming = json, quiet, streaming
        self._stdout = sys.stdout
        if json == "-" or streaming:
            sys.stdout = sys.stderr  # restored by cli.main.execute
        #: What is written at the end, by its option; see :attr:`clsbench.Observer.outputs`.
        self.outputs = [("--json", Path(json))] if json and json != "-" else []
        for option, file in self.outputs:
            check_output(file, option, None, what="the JSON")

    @property
    def stream(self) -> BinaryIO:
        """stdout, for bytes."""
        return self._stdout.buffer

    @cached_property
    def out(self) -> Console:
        """stdout, for results; a pipe without ``COLUMNS`` takes lines of any length."""
        from clsbench.cli.consoles import for_results

        return for_results()

    @property
    def limited(self) -> bool:
        """Whether tables have to fit into a width."""
        from clsbench.cli.consoles import is_limited

        return is_limited(self.out)

    @property
    def draws_progress(self) -> bool:
        """Whether there is a progress bar: on a terminal that no stream is written to."""
        return self.err.is_terminal and not self.quiet and not (self._streaming and self._stdout.isatty())

    @property
    def notes_beside_results(self) -> bool:
        """Whether notes are read where the results are: both on a terminal, or both in one file."""
        return (self.err.is_terminal and self.out.is_terminal) or same_file(self._stdout, sys.stderr)

    @cached_property
    def err(self) -> Console:
        """stderr, for progress and notes."""
        from clsbench.cli.consoles import for_notes

        return for_notes()

    def note(self, text: str) -> None:
        """Tell the user what was assumed or done."""
        if not self.quiet:
            self.err.print(printable(abridged(text)))

    def warn(self, text: str) -> None:
        """Tell the user something they must not miss, even when quiet."""
        self.err.print(printable(abridged(f"warning: {text}")), style="yellow")

    def next(self, *words: object, why: str = "") -> None:
        """Name the next useful command, ready to be typed."""
        self.note(f"next: {command(*words)}" + (f"  # {why}" if why else ""))

    def print(self, *results: Any) -> None:
        """Print tables or text to stdout, unless stdout is for JSON; to stderr where it is for a stream."""
        if self._json != "-" and not (self._streaming and self.quiet):
            for result in results:
                shown = printable(abridged(result)) if isinstance(result, str) else result
                self.out.print(shown, soft_wrap=hasattr(shown, "split"))  # a path stays on one line

    def write_json(self, values: object) -> None:
        """Write ``--json``, if it was asked for: a dictionary of plain values."""
        if self._json == "-":
            unicode = (self._stdout.encoding or "").lower().startswith("utf")
            self._stdout.write(dumps(values, ascii_only=not unicode))
        elif self._json:
            write_json(Path(self._json), values)

    def observer(self) -> TerminalObserver:
        """A context manager that shows the progress of a task on stderr."""
        from clsbench.cli.progress import TerminalObserver

        return TerminalObserver(self)
