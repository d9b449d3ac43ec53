"""The names in a folder of Parquet parts: ``part-00000.parquet`` and so on, and ``_common_metadata``."""

from __future__ import annotations

import os
import re
from itertools import count
from pathlib import Path

from clsbench.errors import DataError
from clsbench.text import counted

#: The schema and the metadata of all parts; readers pass over names that begin with an underscore.
COMMON = "_common_metadata"

#: The names of parts, each number in one way.
_PART = re.compile(r"part-(\d{5}|[1-9]\d{5,11})\.parquet", re.ASCII)


def part_name(number: int) -> str:
    """Of the part of that number, from 0: ``part-00000.parquet``."""
    return f"part-{number:05}.parquet"


def is_folder_of_parts(path: Path) -> bool:
    """Whether a path is a folder with a part in it."""
    return path.is_dir() and any(_PART.fullmatch(name) for name in os.listdir(path))


def list_parts(folder: Path) -> list[Path]:
    """The parts of a folder in their order.

    Raises:
        DataError: if one is missing between them.
    """
    found = {int(match[1]) for name in os.listdir(folder) if (match := _PART.fullmatch(name))}
    first = next(number for number in count() if number not in found)
    if first < len(found):
        raise DataError(
            "parts of the predictions are missing", where=folder, got=f"no {part_name(first)}",
            expected=f"{counted(max(found) + 1, 'part')} up to {part_name(max(found))}",
        )  # fmt: skip
    files = [folder / part_name(number) for number in sorted(found)]
    for file in files:
        if not file.is_file():  # a pipe would be waited for
            raise DataError("a part of the predictions cannot be read", where=file, got="no file")
    return files


def other_files(folder: Path) -> list[str]:
    """What is in a folder that is no part and does not belong to one; only files are parts."""
    with os.scandir(folder) as entries:
        return sorted(
            entry.name
            for entry in entries
            if not entry.is_file() or not (_PART.fullmatch(entry.name) or entry.name == COMMON)
        )


def count_rows(folder: Path) -> int:
    """The rows of all parts of a folder.

    Raises:
        DataError: if a part is missing or cannot be read.
    """
    import pyarrow.parquet as pq

    rows = 0
    for file in list_parts(folder):
        try:
            rows += pq.read_metadata(file).num_rows
        except (OSError, ValueError) as error:  # Arrow's own are of these two
            said = " ".join(str(error).split())
            raise DataError("a part of the predictions cannot be read", where=file, got=said[:300]) from None
    return rows
