"""Values out of texts that strangers wrote: JSON, or Python's literals as ``repr`` writes them; nothing is executed."""

from __future__ import annotations

import ast
import json
import warnings

#: The longest text that is parsed, characters: the names of ImageNet-21k have 600,000.
MAX_LITERAL = 2_000_000


def parse_literal(text: str) -> object:
    """A text as the list, object or number that it writes down, or as it is.

    >>> parse_literal("{0: 'ant', 1: 'bee'}"), parse_literal("[0.5, 0.5]"), parse_literal("ant, bee")
    ({0: 'ant', 1: 'bee'}, [0.5, 0.5], 'ant, bee')
    """
    text = text.strip()
    if not text or len(text) > MAX_LITERAL or text[0] not in "[{(\"'-+.0123456789":
        return text
    try:
        value: object = json.loads(text)
    except (ValueError, RecursionError):
        try:
            with warnings.catch_warnings():  # of escapes that Python does not know
                warnings.simplefilter("ignore")
                value = ast.literal_eval(text)
        except (ValueError, SyntaxError, TypeError, RecursionError, MemoryError):
            return text
    return value
