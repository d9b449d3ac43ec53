"""Tables of text, told from files of other kinds by their first bytes."""

from __future__ import annotations

from pathlib import Path

from clsbench.errors import DataError
from clsbench.file_kinds import HEAD, file_kind

#: First bytes -> what begins with them, beside the kinds of :mod:`clsbench.file_kinds`.
_KINDS = {
    b"\x89PNG": "a PNG image",
    b"\xff\xd8\xff": "a JPEG image",
    b"\xff\xfe": "text in UTF-16",
    b"\xfe\xff": "text in UTF-16",
}


def check_text(file: Path, what: str) -> None:
    """Refuse a file that is certainly no table of UTF-8 text, before it is read as one.

    Args:
        file: A file that is there.
        what: It, for messages: ``the labels file``.

    Raises:
        DataError: saying what it is instead.
        OSError: if it cannot be read.
    """
    if file.is_dir():
        raise DataError(f"{what} is a folder", where=file, expected="a file")
    with file.open("rb") as opened:
        head = opened.read(HEAD)
    kind = file_kind(head) or next((kind for mark, kind in _KINDS.items() if head.startswith(mark)), None)
    if kind is None and head[:1] < b" " and head[:1] not in b"\t\r\n":  # as ONNX files and compressed ones begin
        kind = "binary data"
    if kind is not None:
        hint = f"iconv -f UTF-16 -t UTF-8 '{file}' converts it" if "UTF-16" in kind else None
        raise DataError(f"{what} is not text in UTF-8", where=file, got=kind, hint=hint)


def separator_hint(columns: list[str]) -> str | None:
    """What to do about a table whose header is one column, because something else than commas separates its cells.

    >>> separator_hint(["path;label"])
    "its columns are separated by ';': save it with commas"
    """
    if len(columns) != 1:
        return None
    found = [name for mark, name in {";": "';'", "\t": "tabs", "|": "'|'"}.items() if mark in columns[0]]
    return f"its columns are separated by {found[0]}: save it with commas" if found else None
