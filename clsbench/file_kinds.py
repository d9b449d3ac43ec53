"""Files that are neither images nor tables of text, told by their first bytes."""

from __future__ import annotations

import re

#: What a file is, and what its beginning looks like.
_LOOKS = (
    ("a ZIP archive or a spreadsheet", rb"PK\x03\x04|PK\x05\x06"),
    ("a gzip archive", rb"\x1f\x8b"),
    ("an xz archive", rb"\xfd7zXZ\0"),
    ("a bzip2 archive", rb"BZh"),
    ("a 7-Zip archive", rb"7z\xbc\xaf\x27\x1c"),
    ("a RAR archive", rb"Rar!\x1a\x07"),
    ("a Zstandard archive", rb"\x28\xb5\x2f\xfd"),
    ("a tar archive", rb".{257}ustar"),
    ("a PDF document", rb"%PDF-"),
    ("a PostScript document", rb"%!PS|\xc5\xd0\xd3\xc6"),
    ("a Parquet table", rb"PAR1"),
    ("an HDF5 file", rb"\x89HDF\r\n\x1a\n"),
    ("a video", rb".{4}ftyp(?:isom|iso\d|mp4\d|avc1|M4[AV] |qt  |3g[p2]|dash)|\x1a\x45\xdf\xa3"),
    ("a video", rb"RIFF.{4}AVI |\0\0\x01[\xb3\xba]"),
    ("an executable program", rb"\x7fELF|MZ.{58,}PE\0\0"),
    ("an HTML page", rb"\s*(?i:<!doctype html|<html)"),
    ("a Git LFS pointer", rb"version https://git-lfs"),
)
_LOOKS_LIKE = [(kind, re.compile(pattern, re.DOTALL)) for kind, pattern in _LOOKS]

#: Bytes that tell every kind.
HEAD = 262


def file_kind(head: bytes) -> str | None:
    """What a file is by its first :data:`HEAD` bytes, or fewer where it is shorter; None for any other.

    >>> file_kind(b"%PDF-1.7"), file_kind(b"path,label")
    ('a PDF document', None)
    """
    return next((kind for kind, looks in _LOOKS_LIKE if looks.match(head)), None)
