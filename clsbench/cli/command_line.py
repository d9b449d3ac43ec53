"""A command line looked at as a whole, before it is parsed."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from clsbench.errors import DataError


def refuse_taken(arguments: Sequence[str]) -> None:
    """Refuse a file for the JSON that the same command line names as an input, or as another output.

    Args:
        arguments: The words of the command line.

    Raises:
        DataError: naming it.
    """
    words = [part for word in arguments for part in (word.split("=", 1) if word.startswith("--") else [word])]
    if "--json" not in words[:-1]:
        return
    place = words.index("--json") + 1
    json, others = Path(words[place]), [Path(word) for word in words[: place - 1] + words[place + 1 :]]
    if any(file.resolve() == json.resolve() for file in others if file.suffix or file.is_file()):
        raise DataError("the JSON would overwrite another file", where="--json", got=json, hint="choose another path")
