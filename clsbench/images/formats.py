"""Image formats: told by their first bytes, never by the suffix of a file name."""

from __future__ import annotations

#: Suffixes that mark a file as an image when a folder is listed.
SUFFIXES = frozenset(
    f".{name}"
    for name in (
        *("jpg", "jpeg", "jpe", "jfif", "mpo", "png", "gif", "bmp", "dib", "webp", "tif", "tiff", "avif"),
        *("ppm", "pgm", "pbm", "pnm", "jp2", "j2k", "ico", "tga", "qoi"),
    )
)

#: Format name -> the bytes a file of it begins with.
_MAGIC = {
    "jpeg": (b"\xff\xd8\xff",),
    "png": (b"\x89PNG\r\n\x1a\n",),
    "gif": (b"GIF87a", b"GIF89a"),
    "bmp": (b"BM",),
    "tiff": (b"II*\x00", b"MM\x00*", b"II+\x00", b"MM\x00+"),
    "ppm": (b"P1", b"P2", b"P3", b"P4", b"P5", b"P6"),
    "jpeg2000": (b"\x00\x00\x00\x0cjP  ", b"\xff\x4f\xff\x51"),
    "ico": (b"\x00\x00\x01\x00",),
    "qoi": (b"qoif",),
}

#: Every name that :func:`sniff` can give.
FORMATS = frozenset({*_MAGIC, "webp", "avif", "heic", "unknown"})


def sniff(data: bytes) -> str:
    """The format of an encoded image by its first bytes, or ``unknown``.

    >>> sniff(bytes.fromhex("ffd8ffe0"))
    'jpeg'
    >>> sniff(b"hello")
    'unknown'
    """
    for name, beginnings in _MAGIC.items():
        if data.startswith(beginnings):
            return name
    if data[:4] == b"RIFF" and data[8:12] == b"WEBP":
        return "webp"
    if data[4:8] == b"ftyp":
        return "avif" if data[8:12] in (b"avif", b"avis") else "heic"
    return "unknown"
