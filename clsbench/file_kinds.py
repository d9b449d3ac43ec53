"""Files that are neither images nor tables of text, told by their first bytes."""

from __future__ import annotations

#: What a file is, and which bytes it has where.
_MAGIC = (
    ("a ZIP archive or a spreadsheet", 0, (b"PK\x03\x04", b"PK\x05\x06")),
    ("a gzip archive", 0, (b"\x1f\x8b",)),
    ("an xz archive", 0, (b"\xfd7zXZ\x00",)),
    ("a bzip2 archive", 0, (b"BZh",)),
    ("a 7-Zip archive", 0, (b"7z\xbc\xaf\x27\x1c",)),
    ("a RAR archive", 0, (b"Rar!\x1a\x07",)),
    ("a tar archive", 257, (b"ustar",)),
    ("a PDF document", 0, (b"%PDF-",)),
    ("a Parquet table", 0, (b"PAR1",)),
)

#: Bytes that tell every kind.
HEAD = 262


def file_kind(head: bytes) -> str | None:
    """What a file is by its first :data:`HEAD` bytes, or fewer where it is shorter; None for any other.

    >>> file_kind(b"%PDF-1.7"), file_kind(b"path,label")
    ('a PDF document', None)
    """
    return next((kind for kind, place, marks in _MAGIC if head.startswith(marks, place)), None)
