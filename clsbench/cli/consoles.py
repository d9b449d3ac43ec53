"""Consoles: rich's, for what goes to stdout and to stderr. Neither takes a text for more than a text."""

from __future__ import annotations

import os

from rich.console import Console

#: The width of a pipe.
UNLIMITED = 1_000_000


def for_results() -> Console:
    """stdout; a pipe without ``COLUMNS`` takes lines of any length."""
    console = Console(markup=False, highlight=False, emoji=False, soft_wrap=False)
    if not console.is_terminal and "COLUMNS" not in os.environ:
        console.width = UNLIMITED
    return console


def is_limited(console: Console) -> bool:
    """Whether tables have to fit into its width."""
    return console.width < UNLIMITED


def for_notes() -> Console:
    """stderr."""
    return Console(stderr=True, markup=False, highlight=False, emoji=False, soft_wrap=True)
