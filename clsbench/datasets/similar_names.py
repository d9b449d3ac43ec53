"""Class names that people take for one: they differ only in case, spaces or Unicode normalisation."""

from __future__ import annotations

import unicodedata
from collections import defaultdict
from collections.abc import Sequence

from clsbench.text import shortened


def similar_names(names: Sequence[str]) -> list[tuple[str, ...]]:
    """Groups of names that are one name but for case, spaces and Unicode normalisation, in the order of ``names``.

    Source of the comparison: The Unicode Standard, section 3.13, D146 (compatibility caseless matching).

    >>> similar_names(["Ants", "bees", "ants", "black bear", "black  bear"])
    [('Ants', 'ants'), ('black bear', 'black  bear')]
    """
    groups: dict[str, list[str]] = defaultdict(list)
    for name in names:
        groups[_folded(name)].append(name)
    return [tuple(group) for group in groups.values() if len(group) > 1]


def told_apart(group: Sequence[str]) -> str:
    """Such names in quotes, with escapes for whatever else would look the same.

    >>> print(told_apart(["Ants", "ants"]), told_apart(["café", "cafe\\u0301"]), sep="; ")
    'Ants' = 'ants'; 'caf\\xe9' = 'cafe\\u0301'
    """
    same_look = len({unicodedata.normalize("NFKC", name) for name in group}) < len(group)
    quoted = (ascii(name) if same_look or not name.isprintable() else repr(name) for name in group)
    return " = ".join(shortened(text, 60) for text in quoted)


def _folded(name: str) -> str:
    text = unicodedata.normalize("NFKD", unicodedata.normalize("NFKD", name).casefold())
    return " ".join("".join(c for c in text if unicodedata.category(c) != "Cf").split())
