"""Tables, all of one look, and how numbers stand in them."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import TYPE_CHECKING

from clsbench.text import on_one_line, printable, shortened

if TYPE_CHECKING:
    from rich.table import Table

    from clsbench.adopting.decisions import Decision

#: Characters of a cell, at most: no name that can be a file's is longer.
LONGEST = 1000

#: Characters of a line of prose in a cell, at most: a pipe has no width that would fold it.
PROSE = 100


def table(title: str, columns: Sequence[str], rows: Iterable[Sequence[str]], *, left: int = 1) -> Table:
    """A table; the first ``left`` columns hold text, the rest numbers.

    What does not fit the width is folded, not cut; only texts of absurd length lose their beginning. Title, headers
    and cells may hold names of strangers: nothing in them steers the terminal.
    """
    from rich import box
    from rich.table import Table
    from rich.text import Text

    title = _harmless(on_one_line(title))
    made = Table(title=title, title_justify="left", title_style="bold", box=box.SIMPLE_HEAD, pad_edge=False)
    made.min_width = min(len(title), 79)  # or a title above a narrow table would be broken
    for position, name in enumerate(columns):
        made.add_column(_harmless(name), justify="left" if position < left else "right", overflow="fold")
    for row in rows:
        made.add_row(*(Text(_harmless(cell)) for cell in row))
    return made


def _harmless(text: str) -> str:
    return printable(shortened(text, LONGEST))


def first_rows(title: str, shown: int, total: int, option: str | None) -> str:
    """The title of a table that shows only its first rows, and the option that shows more, if there is one.

    >>> first_rows("Top losses", 5, 23, "--top")
    'Top losses: 5 of 23; --top 23 shows all'
    """
    if shown >= total:
        return title
    return f"{title}: {shown:,} of {total:,}" + (f"; {option} {total} shows all" if option else "")


def facts_table(title: str, facts: Iterable[tuple[str, str]]) -> Table:
    """A table of names and values, without a header."""
    made = table(title, ("", ""), facts, left=2)
    made.show_header = False
    made.columns[1].max_width = PROSE
    return made


def decisions_table(title: str, decisions: Iterable[Decision]) -> Table:
    """What was asked for, found and guessed about a foreign model, apart."""
    ordered = sorted(decisions, key=lambda each: ("asked", "found", "guessed").index(each.how))
    rows = [(each.how, each.field, on_one_line(each.text), on_one_line(each.origin)) for each in ordered]
    return table(title, ("", "fact", "value", "source"), rows, left=4)


def percent(fraction: float | None) -> str:
    """A fraction as every table shows it; a dash where there is none."""
    return "-" if fraction is None else f"{fraction:.2%}"


def millions(count: int | None) -> str:
    """A large count in millions; a dash where there is none."""
    return "-" if count is None else f"{count / 1e6:,.1f} M"
