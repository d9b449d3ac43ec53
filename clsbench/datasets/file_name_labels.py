"""Labels in file names: which pattern would find them, before anyone has asked for one."""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence

#: Names that are looked at to find a pattern, at most.
LOOKED_AT = 10_000

#: What comes before the last number of a file name.
PATTERN = r"/([^/]+)_\d+\.[^.]+$"

#: What comes before the numbers and signs at the end: ``cat`` of ``cat.12.jpg``, ``cat12.jpg``, ``cat (12).jpg``.
LOOSE_PATTERN = r"/([^/]*[^\W\d_])(?:[^\w/]|[\d_])*\.[^.]+$"


def pattern_for(names: Sequence[str], classes: Sequence[str]) -> str | None:
    """A pattern by which most of some names are labelled with known classes, two of them or more; None without one.

    Args:
        names: Relative paths.
        classes: The known ones.

    >>> pattern_for(["cat_1.jpg", "dog_1.jpg"], ["cat", "dog"]) == PATTERN
    True
    >>> pattern_for(["cat.1.jpg", "dog.1.jpg"], ["cat", "dog"]) == LOOSE_PATTERN
    True
    >>> pattern_for(["IMG_1.jpg", "IMG_2.jpg"], ["cat", "dog"])
    """
    known, some_names = set(classes), _thinned(names)
    for pattern, found in _labelled(some_names):
        labels = [label for label in found if label in known]
        if len(set(labels)) > 1 and 2 * len(labels) > len(some_names):
            return pattern
    return None


def likely_labels(names: Sequence[str]) -> tuple[str, list[str]] | None:
    """A pattern that finds two labels or more, each on several of nearly all names, and the labels; None without one.

    >>> likely_labels(["cat.1.jpg", "cat.2.jpg", "dog.1.jpg", "dog.2.jpg"])[1]
    ['cat', 'dog']
    >>> likely_labels(["IMG_1.jpg", "IMG_2.jpg"]), likely_labels(["anna.jpg", "bob.jpg"])
    (None, None)
    """
    some_names = _thinned(names)
    for pattern, labels in _labelled(some_names):
        distinct = set(labels)
        if len(distinct) > 1 and 2 * len(distinct) <= len(labels) and 10 * len(labels) >= 9 * len(some_names):
            return pattern, sorted(distinct)
    return None


def _thinned(names: Sequence[str]) -> Sequence[str]:
    return names[:: len(names) // LOOKED_AT + 1]


def _labelled(names: Sequence[str]) -> Iterator[tuple[str, list[str]]]:
    """Each pattern, and what it finds in the names that match."""
    for pattern in (PATTERN, LOOSE_PATTERN):
        found = (re.search(pattern, f"/{name}") for name in names)
        yield pattern, [match[1] for match in found if match]
