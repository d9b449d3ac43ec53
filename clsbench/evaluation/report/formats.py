"""How names and numbers are written, the same in every section."""

from __future__ import annotations

import math
import unicodedata
from collections.abc import Sequence
from itertools import takewhile

from clsbench.text import formatted, shortened_path

#: Characters of a name before it is cut.
NAME = 300

#: What is written in place of a number that does not exist.
NOTHING = "–"

#: Unprintable by Unicode's tables, yet part of words and of emoji.
JOINERS = "\u200c\u200d"


def shown(text: str, limit: int | None = None) -> str:
    """A text as it can be shown: what is invisible or turns the line around becomes an escape.

    Args:
        text: A name or a message from a file.
        limit: Longer ones lose their middle: paths differ at the end, classes at the start.

    >>> shown("cat\\u202egpj.exe"), shown("a long name", 7)
    ('cat\\\\u202egpj.exe', 'a l…ame')
    """
    if not text.isprintable():
        text = "".join(c if _harmless(c) else c.encode("unicode_escape").decode("ascii") for c in text)
    if limit is None or len(text) <= limit:
        return text
    half = limit // 2
    return f"{text[: limit - half - 1]}…{text[-half:]}"


def told_apart(names: Sequence[str], limit: int) -> list[str]:
    """Names as :func:`shown`, but those that look the same once they are cut lose what they begin with in common.

    >>> told_apart(["a very long name 1 of all", "a very long name 2 of all", "short"], 12)
    ['…ame 1…f all', '…ame 2…f all', 'short']
    """
    found = [shown(name, limit) for name in names]
    alike: dict[str, list[int]] = {}
    for position, text in enumerate(found):
        alike.setdefault(text, []).append(position)
    for positions in alike.values():
        group = [names[k] for k in positions]
        common = sum(1 for _ in takewhile(lambda pair: pair[0] == pair[1], zip(min(group), max(group), strict=False)))
        if len(group) > 1 and common > 4:
            rest = told_apart([name[common - 4 :] for name in group], limit - 1)
            for position, text in zip(positions, rest, strict=True):
                found[position] = f"…{text}"
    return found


def _harmless(character: str) -> bool:
    return character.isprintable() or character in JOINERS or unicodedata.category(character) == "Zs"


def name(text: object) -> str:
    """The name of a class or an image, of bounded length."""
    return shown(str(text), NAME)


def file_name(path: str) -> str:
    """The name of a file, whole so that it can be found, without its folders.

    >>> file_name("photos/ants/2024/seventeen big ants.jpg")
    '…/seventeen big ants.jpg'
    """
    return shortened_path(path, 28)


def number(value: object) -> float | None:
    """A number of a file that someone may have edited; None where it is none.

    >>> number(3), number("3"), number(True), number(float("nan"))
    (3.0, None, None, None)
    """
    if isinstance(value, bool) or not isinstance(value, int | float) or not math.isfinite(value):
        return None
    return float(value)


def percent(value: float | None) -> str:
    """A fraction as percent.

    >>> percent(0.94125), percent(None)
    ('94.12%', '–')
    """
    return NOTHING if value is None else formatted(value, ".2%")


def fixed(value: float | None, digits: int = 3) -> str:
    """A score or a probability.

    >>> fixed(0.5), fixed(12.34, 1), fixed(None)
    ('0.500', '12.3', '–')
    """
    return NOTHING if value is None else formatted(value, f".{digits}f")


def figure(value: float | None) -> str:
    """A measure of unknown size, to four digits.

    >>> figure(0.0123456), figure(None)
    ('0.01235', '–')
    """
    return NOTHING if value is None else formatted(value, ".4g")


def count(value: int) -> str:
    """A number of things.

    >>> count(10000)
    '10,000'
    """
    return f"{value:,}"
