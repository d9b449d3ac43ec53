"""FilteredSource: the part of a source whose names match ``--include``, and none of ``--exclude``."""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence

from clsbench.errors import DataError
from clsbench.images.entries import Entry
from clsbench.images.sources.compact import CompactEntries, entry_names
from clsbench.images.sources.source import EXCLUDED, Skipped, Source


class FilteredSource:
    """Part of a source; what is left out stands in ``skipped``.

    Args:
        source: The whole.
        include: Patterns, one of which a name has to match; none for all names.
        exclude: Patterns, none of which it may match.

    Raises:
        DataError: if no image is left.
    """

    def __init__(self, source: Source, include: Sequence[str] = (), exclude: Sequence[str] = ()) -> None:
        self.location = source.location
        self.folders, self.notes = getattr(source, "folders", ()), getattr(source, "notes", ())
        names, entries = entry_names(source.entries), source.entries
        kept = list(_matching(names, include, exclude))
        chosen = set(kept)
        self.skipped = [
            *source.skipped,
            *(Skipped(name, EXCLUDED) for row, name in enumerate(names) if row not in chosen),
        ]
        self.entries: Sequence[Entry] = (
            entries.take(kept) if isinstance(entries, CompactEntries) else [entries[row] for row in kept]
        )
        if not kept:
            given = [*(f"--include {one}" for one in include), *(f"--exclude {one}" for one in exclude)]
            raise DataError(
                "none of the images matches", where=source.location, got=" ".join(given),
                expected=f"a pattern of names such as {names[0]}" if len(names) else None,
                hint="* is any part of a name, ** any folders; a pattern without / is of files and folders anywhere",
            )  # fmt: skip


def _matching(names: Sequence[str], include: Sequence[str], exclude: Sequence[str]) -> Iterator[int]:
    wanted, unwanted = ([re.compile(expression(one)) for one in given] for given in (include, exclude))
    for row, name in enumerate(names):
        if (not wanted or any(one.match(name) for one in wanted)) and not any(one.match(name) for one in unwanted):
            yield row


def expression(pattern: str) -> str:
    r"""A pattern as a regular expression, which matches the whole of a relative path with forward slashes.

    ``*`` and ``?`` stand for what is in a name, ``[a-c]`` for one character, ``**`` for any folders. A pattern without
    a slash matches files and folders of that name at any depth, and one that matches a folder all that is in it.

    >>> [bool(re.match(expression(p), "a/b/c.jpg")) for p in ("*.jpg", "b", "a/*.jpg", "a/**/*.jpg", "b/c.jpg")]
    [True, True, False, True, False]
    """
    parts, rest = [], pattern.strip("/") if pattern.strip("/") else pattern
    for token in re.findall(r"\*\*/|/\*\*$|\*\*|\[[!^]?\]?[^\]]*\]|.", rest, re.DOTALL):
        if token == "**/":
            parts.append("(?:[^/]+/)*")
        elif token in ("/**", "**"):
            parts.append("/.*" if token == "/**" else ".*")
        elif token == "*":
            parts.append("[^/]*")
        elif token == "?":
            parts.append("[^/]")
        elif len(token) > 2:
            inside = token[1:-1].replace("\\", r"\\").replace("[", r"\[").replace("&&", r"&\&").replace("||", r"|\|")
            parts.append(f"(?!/)[{'^' + inside[1:] if inside[0] in '!^' else inside}]")
        else:
            parts.append(re.escape(token))
    anywhere = "" if "/" in rest else "(?:.*/)?"
    return rf"(?s:{anywhere}{''.join(parts)}(?:/.*)?)\Z"
