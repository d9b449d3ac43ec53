"""Cells that a spreadsheet would run: escaped with an apostrophe in front where that was asked for.

A spreadsheet takes a cell that begins with ``=``, ``+``, ``-``, ``@``, a tab or a carriage return for a formula
(https://owasp.org/www-community/attacks/CSV_Injection). A cell that begins with apostrophes before one of these gets
another one, so that no two texts become the same.

>>> escaped("=1+1"), escaped("'=1+1"), escaped("a=1")
("'=1+1", "''=1+1", 'a=1')
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import pyarrow as pa

#: How a formula begins.
BEGINNINGS = ("=", "+", "-", "@", "\t", "\r")

_ESCAPED = re.compile(r"'*[=+\-@\t\r]")


def is_formula(text: str) -> bool:
    """Whether a spreadsheet may run a cell."""
    return text.startswith(BEGINNINGS)


def escaped(text: str) -> str:
    """The text of a cell that is not run."""
    return f"'{text}" if _ESCAPED.match(text) else text


def plain(text: str) -> str:
    """The inverse of :func:`escaped`.

    >>> plain("'=1+1"), plain("a=1")
    ('=1+1', 'a=1')
    """
    return text[1:] if text.startswith("'") and _ESCAPED.match(text[1:]) else text


def unescaped(column: pa.Array) -> pa.Array:
    """The inverse of :func:`escaped` for an Arrow array of texts, bytes or a dictionary of texts."""
    import pyarrow as pa
    import pyarrow.compute as pc

    if pa.types.is_dictionary(column.type):
        return pa.DictionaryArray.from_arrays(column.indices, unescaped(column.dictionary))
    if not (pa.types.is_string(column.type) or pa.types.is_large_binary(column.type)):
        return column
    # \A and the flag s: a name may hold line breaks.
    return pc.replace_substring_regex(column, r"(?s)\A'('*[=+\-@\t\r])", r"\1", max_replacements=1)
