"""Image formats: told by their first bytes, never by the suffix of a file name."""

from __future__ import annotations

from clsbench.file_kinds import file_kind

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


#: Kind of file -> its suffixes.
_OTHER_SUFFIXES = {
    "an archive": ("zip", "tar", "tgz", "gz", "xz", "txz", "bz2", "tbz2", "7z", "rar", "zst"),
    "a table": ("csv", "tsv", "json", "jsonl", "parquet", "xls", "xlsx"),
    "a video": ("mp4", "m4v", "mov", "avi", "mkv", "webm"),
    "a document": ("pdf", "md", "html", "htm", "doc", "docx", "txt"),
    "a model file": ("onnx", "pt", "pth", "safetensors", "ckpt"),
}
_KIND_OF = {f".{suffix}": kind for kind, suffixes in _OTHER_SUFFIXES.items() for suffix in suffixes}


def other_kind(suffix: str, head: bytes = b"") -> str | None:
    """What a file is that is certainly no image, by its content or else by its suffix; None for any other file.

    Args:
        suffix: In lower case with its dot.
        head: Its first bytes, as for :func:`clsbench.file_kinds.file_kind`.

    >>> other_kind(".zip"), other_kind(".dat", b"%PDF-1.7"), other_kind(".dat")
    ('an archive', 'a PDF document', None)
    >>> other_kind(".csv", bytes.fromhex("ffd8ffe0"))  # a JPEG, whatever its name says
    """
    if kind := file_kind(head):
        return kind
    known = _KIND_OF.get(suffix)
    # A video begins like HEIC, whose suffix is not in the list.
    return None if sniff(head) != "unknown" and known != "a video" else known
