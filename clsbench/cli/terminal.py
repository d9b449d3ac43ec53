"""Terminal: where the output of a command goes.

Results (tables, JSON asked for with ``--json -``) go to stdout, progress and notes to
stderr. With ``--json -`` stdout holds the JSON alone, whatever a plugin prints.
"""

from __future__ import annotations

import sys
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any

from clsbench.errors import DataError
from clsbench.json_fields import dumps, write_json
from clsbench.text import printable

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
            _writable(Path(json))

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
            self.err.print(printable(text))

    def warn(self, text: str) -> None:
        """Tell the user something they must not miss, even when quiet."""
        self.err.print(printable(f"warning: {text}"), style="yellow")

    def print(self, *results: Any) -> None:
        """Print tables or text to stdout, unless stdout is for JSON."""
        if self._json != "-":
            for result in results:
                self.out.print(result, soft_wrap=isinstance(result, str))  # a path stays on one line

    def write_json(self, values: object) -> None:
        """Write ``--json``, if it was asked for: a dictionary of plain values."""
        if self._json == "-":
            self._stdout.write(dumps(values))
        elif self._json:
            write_json(Path(self._json), values)

    def observer(self) -> TerminalObserver:
        """A context manager that shows the progress of a task on stderr."""
        from clsbench.cli.progress import TerminalObserver

        return TerminalObserver(self)


def _writable(path: Path) -> None:
    """Refuse a path for ``--json`` before the work rather than after it."""
    try:
        if path.is_dir():
            raise IsADirectoryError("it is a folder")
        path.parent.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise DataError("the JSON cannot be written", where=path, got=error.strerror or error) from None
