"""``clsbench --code CODE``: what the code of a finding or a refusal means."""

from __future__ import annotations

import shutil
import textwrap

from clsbench.finding_codes.finding_code import FindingCode
from clsbench.finding_codes.lookup import find_codes

#: Characters of a line of prose, at most.
WIDTH = 100


def print_codes(text: str) -> None:
    """Print what a code means; of the beginning of several, a line each.

    Raises:
        OptionError: if there is none.
    """
    from clsbench.cli.tables import table
    from clsbench.cli.terminal import Terminal

    terminal, found = Terminal(json=None, quiet=False), find_codes(text, where="--code")
    if len(found) > 1:
        rows = [(each.code, each.name, each.title) for each in found]
        terminal.print(table("Codes", ("code", "name", "means"), rows, left=3))
    else:
        width = min(shutil.get_terminal_size().columns, WIDTH)
        terminal.print(
            "\n\n".join(textwrap.fill(each, width, break_on_hyphens=False) for each in _paragraphs(found[0]))
        )


def _paragraphs(one: FindingCode) -> list[str]:
    ignore = f"`--ignore {one.code}` accepts it." if one.ignorable else "It is a refusal: `--ignore` does not take it."
    return [
        f"{one.code} {one.name}: {one.title} ({one.family})",
        one.meaning,
        f"Why it is bad: {one.why}",
        f"What to do: {one.remedy}",
        ignore,
    ]
