"""Class names in the order of a network's outputs, from a text or JSON file."""

from __future__ import annotations

import json
from pathlib import Path

from clsbench.errors import DataError
from clsbench.text import counted

_FORMS = "one name a line; or JSON: a list of names, {'0': name, …}, {'0': [id, name], …} or {name: 0, …}"


def read_class_list(file: Path) -> tuple[str, ...]:
    """Read class names; position k names output k.

    Args:
        file: ``.json``: a list of names, or an object that maps positions to names (or to lists that end with them,
            as Keras's ``imagenet_class_index.json`` does), or names to positions, as torchvision's ``class_to_idx``.
            Any other: one name a line, UTF-8; blank lines at the end do not count.

    Raises:
        DataError: if it cannot be read, or a position is missing or stands twice.
    """
    try:
        text = file.read_text(encoding="utf-8-sig")
    except (OSError, UnicodeDecodeError) as error:
        got = getattr(error, "strerror", None) or error
        raise DataError("the file of classes cannot be read", where=file, got=got, expected=_FORMS) from None
    return _from_json(text, file) if file.suffix.lower() == ".json" else _from_lines(text)


def _from_lines(text: str) -> tuple[str, ...]:
    return tuple(line.strip() for line in text.rstrip().splitlines())


def _from_json(text: str, file: Path) -> tuple[str, ...]:
    try:
        values = json.loads(text)
    except (ValueError, RecursionError) as error:
        raise DataError("the file of classes is not valid JSON", where=file, got=error, expected=_FORMS) from None
    if isinstance(values, dict):
        count = len(values)
        if values and all(type(position) is int for position in values.values()):
            values = {str(position): name for name, position in values.items()}
        positions = [str(k) for k in range(count)]
        if set(values) != set(positions):
            missing = sorted(set(positions) - set(values), key=int)[:3]
            raise DataError(
                "the positions of the classes have gaps",
                where=file, got=f"{counted(count, 'class')} without position {', '.join(missing)}",
                expected=f"0 to {count - 1}",
            )  # fmt: skip
        values = [values[position] for position in positions]
    listed = values if isinstance(values, list) else [None]
    names = [value[-1] if isinstance(value, list) and value else value for value in listed]
    texts = [name for name in names if isinstance(name, str)]
    if len(texts) < len(names):
        raise DataError("the file of classes does not hold names", where=file, expected=_FORMS)
    return tuple(texts)
