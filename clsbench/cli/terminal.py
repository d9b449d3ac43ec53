"""Terminal: where a command's words go.

Results (tables, JSON asked for with ``--json -``) go to stdout, progress and notes to
stderr. With ``--json -`` stdout holds the JSON alone.
"""

from __future__ import annotations

import sys
from collections.abc import Iterable, Sequence
from contextlib import AbstractContextManager, nullcontext
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any

from clsbench.errors import DataError
from clsbench.json_fields import dumps, write_json
from clsbench.text import printable

if TYPE_CHECKING:
    from rich.console import Console
    from rich.progress import Progress
    from rich.table import Table


class Terminal:
    """One command's output.

    Args:
        json: The value of ``--json``: a path, ``-`` for stdout, or None.
        quiet: No progress and no notes.
    """

    def __init__(self, *, json: str | None = None, quiet: bool = False) -> None:
        self._json, self._quiet = json, quiet
        if json and json != "-":
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
        if not self._quiet:
            self.err.print(printable(text))

    def warn(self, text: str) -> None:
        """Tell the user something they must not miss, even when quiet."""
        self.err.print(printable(f"warning: {text}"), style="yellow")

    def print(self, *results: Any) -> None:
        """Print tables or text to stdout, unless stdout is for JSON."""
        if self._json != "-":
            for result in results:
                self.out.print(result, soft_wrap=isinstance(result, str))  # a path stays on one line

    def facts(self, values: dict[str, Any]) -> None:
        """Write ``--json``, if it was asked for."""
        if self._json == "-":
            sys.stdout.write(dumps(values))
        elif self._json:
            write_json(Path(self._json), values)

    def status(self, text: str) -> AbstractContextManager[Any]:
        """A spinner on stderr while something takes a while."""
        return nullcontext() if self._quiet or not self.err.is_terminal else self.err.status(text)

    def progress(self, *fields: str) -> Progress:
        """A progress bar on stderr with count, the named fields, speed and remaining time."""
        from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

        columns = [TextColumn(f"{{task.fields[{name}]}}") for name in fields]
        return Progress(
            TextColumn("{task.description}"),
            BarColumn(bar_width=24),
            MofNCompleteColumn(),
            *columns,
            TimeRemainingColumn(compact=True, elapsed_when_finished=True),
            console=self.err,
            disable=self._quiet or not self.err.is_terminal,
        )


def _writable(path: Path) -> None:
    """Refuse a path for ``--json`` before the work rather than after it."""
    try:
        if path.is_dir():
            raise IsADirectoryError("it is a folder")
        path.parent.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise DataError("the JSON cannot be written", where=path, got=error.strerror or error) from None


def table(title: str, columns: Sequence[str], rows: Iterable[Sequence[str]], *, left: int = 1) -> Table:
    """A table as all of clsbench's look; the first ``left`` columns hold text, the rest numbers."""
    from rich import box
    from rich.table import Table
    from rich.text import Text

    made = Table(title=title, title_justify="left", title_style="bold", box=box.SIMPLE_HEAD, pad_edge=False)
    made.min_width = min(len(title), 79)  # or a title above a narrow table would be broken
    for position, name in enumerate(columns):
        made.add_column(name, justify="left" if position < left else "right", overflow="fold")
    for row in rows:
        made.add_row(*(Text(printable(cell)) for cell in row))
    return made


def facts_table(title: str, facts: Iterable[tuple[str, str]]) -> Table:
    """A table of names and values, without a header."""
    made = table(title, ("", ""), facts, left=2)
    made.show_header = False
    return made


def percent(fraction: float) -> str:
    """A fraction as every table shows it."""
    return f"{fraction:.2%}"
