"""Terminal: where the output of a command goes.

Results (tables, JSON asked for with ``--json -``) go to stdout, progress and notes to
stderr. With ``--json -`` stdout holds the JSON alone, whatever a plugin prints.
"""

from __future__ import annotations

import sys
from collections.abc import Sequence
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any

from clsbench.errors import DataError
from clsbench.json_fields import dumps, write_json
from clsbench.output_files import check_writable
from clsbench.text import abridged, printable

if TYPE_CHECKING:
    from rich.console import Console

    from clsbench.cli.progress import TerminalObserver


class Terminal:
    """The output of one command.

    Args:
        json: The value of ``--json``: a path, ``-`` for stdout, or None.
        quiet: No progress and no notes.
    """

    def __init__(self, *, json: str | None = None, quiet: bool = False) -> None:
        self._json, self.quiet = json, quiet
        self._stdout = sys.stdout
        if json == "-":
            sys.stdout = sys.stderr  # restored by cli.main.execute
        elif json:
            check_writable(Path(json), "the JSON")

    @cached_property
    def out(self) -> Console:
        """stdout, for results."""
        from rich.console import Console

        return Console(markup=False, highlight=False, emoji=False, soft_wrap=False)

    @cached_property
    def err(self) -> Console:
        """stderr, for progress and notes."""
        from rich.console import Console

        return Console(stderr=True, markup=False, highlight=False, emoji=False, soft_wrap=True)

    def note(self, text: str) -> None:
        """Tell the user what was assumed or done."""
        if not self.quiet:
            self.err.print(printable(abridged(text)))

    def warn(self, text: str) -> None:
        """Tell the user something they must not miss, even when quiet."""
        self.err.print(printable(abridged(f"warning: {text}")), style="yellow")

    def print(self, *results: Any) -> None:
        """Print tables or text to stdout, unless stdout is for JSON."""
        if self._json != "-":
            for result in results:
                shown = abridged(result) if isinstance(result, str) else result
                self.out.print(shown, soft_wrap=isinstance(result, str))  # a path stays on one line

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


def refuse_taken(arguments: Sequence[str]) -> None:
    """Refuse a file for the JSON that the same command line names as an input, or as another output.

    Args:
        arguments: The words of the command line.

    Raises:
        DataError: naming it.
    """
    words = [part for word in arguments for part in (word.split("=", 1) if word.startswith("--") else [word])]
    if "--json" not in words[:-1]:
        return
    place = words.index("--json") + 1
    json, others = Path(words[place]), [Path(word) for word in words[: place - 1] + words[place + 1 :]]
    if any(file.resolve() == json.resolve() for file in others if file.suffix or file.is_file()):
        raise DataError("the JSON would overwrite another file", where="--json", got=json, hint="choose another path")
