"""Tables, all of one look, and how numbers stand in them."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import TYPE_CHECKING

from clsbench.text import printable

if TYPE_CHECKING:
    from rich.table import Table


def table(title: str, columns: Sequence[str], rows: Iterable[Sequence[str]], *, left: int = 1) -> Table:
    """A table; the first ``left`` columns hold text, the rest numbers."""
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


def percent(fraction: float | None) -> str:
    """A fraction as every table shows it; a dash where there is none."""
    return "-" if fraction is None else f"{fraction:.2%}"


def millions(count: int | None) -> str:
    """A large count in millions; a dash where there is none."""
    return "-" if count is None else f"{count / 1e6:,.1f} M"
