"""Image formats: told by their first bytes, never by the suffix of a file name."""

from __future__ import annotations

import re
from typing import NamedTuple

from clsbench.file_kinds import file_kind

#: Suffixes that mark a file as an image when a folder is listed.
SUFFIXES = frozenset(
    f".{name}"
    for name in (
        *("jpg", "jpeg", "jpe", "jfif", "mpo", "png", "apng", "gif", "bmp", "dib", "webp", "tif", "tiff"),
        *("avif", "avifs", "heic", "heif", "hif", "ppm", "pgm", "pbm", "pnm", "pfm", "jp2", "j2k", "jpf", "jpx"),
        *("j2c", "jpc", "ico", "cur", "icns", "tga", "icb", "vda", "vst", "qoi", "pcx", "dcx", "dds", "sgi", "rgb"),
        *("rgba", "bw", "psd", "xbm", "xpm", "ras", "msp", "pxr", "pcd", "blp", "ftc", "ftu", "gbr", "fli", "flc"),
        *("im", "fits", "fit", "dcm", "dicom"),
    )
)

#: Format that is read -> the bytes a file of it begins with; those of :data:`_LOOKS` need a closer look.
_MAGIC = {
    "jpeg": (b"\xff\xd8\xff",),
    "png": (b"\x89PNG\r\n\x1a\n",),
    "gif": (b"GIF87a", b"GIF89a"),
    "tiff": (b"II*\x00", b"MM\x00*", b"II+\x00", b"MM\x00+"),
    "jpeg2000": (b"\x00\x00\x00\x0cjP  ", b"\xff\x4f\xff\x51"),
    "ico": (b"\x00\x00\x01\x00",),
    "icns": (b"icns",),
    "qoi": (b"qoif",),
    "dds": (b"DDS ",),
    "psd": (b"8BPS",),
    "xpm": (b"/* XPM */",),
    "sun": (b"\x59\xa6\x6a\x95",),
    "msp": (b"DanM", b"LinS"),
    "dcx": (b"\xb1\x68\xde\x3a",),
    "pixar": (b"\x80\xe8\x00\x00",),
    "blp": (b"BLP1", b"BLP2"),
    "ftex": (b"FTEX",),
    "xvthumb": (b"P7 332",),
    "im": (b"Image type: ",),
    "fits": (b"SIMPLE  = ",),
    "mcidas": (b"\x00\x00\x00\x00\x00\x00\x00\x04",),
}

#: Format that is read -> what the beginning of a file of it looks like, where a few fixed bytes would say too little.
_LOOKS = {
    "webp": rb"RIFF....WEBP",
    "bmp": rb"BM(?=.{0,11}\Z|.{12}(?:\x0c|[\x10\x28\x34\x38\x40\x6c\x7c]\0))",
    "dib": rb"\x28\0\0\0.{8}\x01\0[\x01\x04\x08\x10\x18\x20]\0",
    "ppm": rb"P[1-6fy0][\s#]",
    "pcx": rb"\n[\0\x02\x03\x05][\0\x01][\x01\x02\x04\x08]",
    "sgi": rb"\x01\xda[\0\x01][\x01\x02]",
    "cur": rb"\0\0\x02\0(?!\0\0)",
    "fli": rb"....[\x11\x12]\xaf.{8}[\0\x03]\0",
    "gbr": rb".{20}GIMP",
    "xbm": rb"\s*(?:/\*.{0,200}?\*/\s*)?#define[ \t]+\S*_width[ \t]+\d",
    "pcd": rb".{2048}PCD_",
}


def _any_of(looks: dict[str, bytes]) -> re.Pattern[bytes]:
    """One expression of several, whose group that matches is the name."""
    return re.compile(b"|".join(b"(?P<%s>%s)" % (name.encode(), look) for name, look in looks.items()), re.DOTALL)


_LOOKS_LIKE = _any_of(_LOOKS)


class Unread(NamedTuple):
    """An image format that is known and that nothing built in reads.

    Args:
        what: Its name, with its article.
        looks: What the beginning of a file of it looks like.
        hint: What to do.
    """

    what: str
    looks: bytes
    hint: str = "convert it to PNG or JPEG"


_RAW = "develop it to JPEG or TIFF, for example with darktable or rawpy"

#: Formats that a plugin's decoder may read.
UNREAD = {
    "jpegxl": Unread(
        "a JPEG XL image", rb"\xff\x0a|\0\0\0\x0cJXL ", "convert it to PNG or JPEG, for example with djxl"
    ),
    "jpegxr": Unread("a JPEG XR image", rb"II\xbc[\0\x01]"),
    "openexr": Unread("an OpenEXR image", rb"\x76\x2f\x31\x01"),
    "hdr": Unread("a Radiance HDR image", rb"#\?(?:RADIANCE|RGBE)"),
    "dicom": Unread(
        "a DICOM image", rb".{128}DICM", "pip install clsbench-dicom, then infer --decoder dicom, train --dataset dicom"
    ),
    "cr2": Unread("a camera raw image (Canon CR2)", rb"II\*\0.{4}CR\x02", _RAW),
    "cr3": Unread("a camera raw image (Canon CR3)", rb".{4}ftypcrx ", _RAW),
    "raf": Unread("a camera raw image (Fujifilm RAF)", rb"FUJIFILMCCD-RAW", _RAW),
    "orf": Unread("a camera raw image (Olympus ORF)", rb"IIR[OS]|MMOR", _RAW),
    "rw2": Unread("a camera raw image (Panasonic RW2)", rb"IIU\0", _RAW),
    "x3f": Unread("a camera raw image (Sigma X3F)", rb"FOVb", _RAW),
    "xcf": Unread("a GIMP file (XCF)", rb"gimp xcf"),
    "djvu": Unread("a DjVu document", rb"AT&TFORM"),
    "flif": Unread("a FLIF image", rb"FLIF"),
    "bpg": Unread("a BPG image", rb"BPG\xfb"),
}
_UNREAD_LOOKS = _any_of({name: form.looks for name, form in UNREAD.items()})

#: Every name that :func:`sniff` can give.
FORMATS = frozenset({*_MAGIC, *_LOOKS, *UNREAD, "avif", "heic", "unknown"})

#: Brands of HEIF files with HEVC images, of their sequences, and of either or AVIF.
_HEIC_BRANDS = (b"heic", b"heix", b"hevc", b"hevx", b"heim", b"heis", b"hevm", b"hevs", b"mif1", b"mif2", b"msf1")


def sniff(data: bytes) -> str:
    """The format of an encoded image by its first bytes, or ``unknown``.

    >>> sniff(bytes.fromhex("ffd8ffe0"))
    'jpeg'
    >>> sniff(b"hello")
    'unknown'
    """
    if data.startswith(b"\xff\xd8\xff"):
        return "jpeg"
    if data.startswith(b"\x89PNG\r\n\x1a\n"):
        return "png"
    if found := _UNREAD_LOOKS.match(data):  # first: a raw file of Canon begins like a TIFF file
        return str(found.lastgroup)
    for name, beginnings in _MAGIC.items():
        if data.startswith(beginnings):
            return name
    if data[4:8] == b"ftyp":
        return _sniff_brands(data)
    found = _LOOKS_LIKE.match(data)
    return str(found.lastgroup) if found else "unknown"


def _sniff_brands(data: bytes) -> str:
    """AVIF or HEIC by the first box of the file, which videos have too."""
    brand, others = data[8:12], data[16 : min(int.from_bytes(data[:4]), 256)]
    if brand in (b"avif", b"avis") or (brand not in _HEIC_BRANDS[:8] and re.search(rb"\A(?:....)*?avi[fs]", others)):
        return "avif"
    return "heic" if brand in _HEIC_BRANDS else "unknown"


def is_image(head: bytes) -> bool:
    """Whether a file is an image by its first bytes: of a format that is read here, or one that is known and is not.

    Formats without a mark of their own at the beginning (TGA, SPIDER) are not told.

    Args:
        head: The first bytes, as for :func:`clsbench.file_kinds.file_kind`.

    >>> is_image(b"GIF89a"), is_image(b"path,label")
    (True, False)
    """
    return sniff(head) != "unknown"


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
    return None if is_image(head) else _KIND_OF.get(suffix)
