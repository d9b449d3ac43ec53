"""The names in a folder of Parquet parts: ``part-00000.parquet`` and so on, and ``_common_metadata``."""

from __future__ import annotations

import os
import re
from pathlib import Path

from clsbench.errors import DataError
from clsbench.text import some

#: The schema and the metadata of all parts; readers pass over names that begin with an underscore.
COMMON = "_common_metadata"

_PART = re.compile(r"part-(\d{5,})\.parquet", re.ASCII)


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
    found = {int(match[1]): name for name in os.listdir(folder) if (match := _PART.fullmatch(name))}
    missing = [part_name(number) for number in range(max(found, default=-1) + 1) if number not in found]
    if missing:
        raise DataError("parts of the predictions are missing", where=folder, got=f"no {some(missing)}")
    return [folder / found[number] for number in sorted(found)]


def other_files(folder: Path) -> list[str]:
    """What is in a folder that is no part and does not belong to one."""
    return sorted(name for name in os.listdir(folder) if not _PART.fullmatch(name) and name != COMMON)
