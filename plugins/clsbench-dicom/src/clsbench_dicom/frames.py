"""What an encoded frame says of itself, before it is decoded: no header decides how much memory a decoder takes.

Sources: DICOM PS3.5 annex A.5 (deflate) and G (RLE); ITU-T T.81 and T.87 (JPEG, JPEG-LS), T.800 (JPEG 2000).
"""

from __future__ import annotations

import struct
import zlib
from typing import TYPE_CHECKING

from clsbench import ImageError

if TYPE_CHECKING:
    from pydicom import Dataset

#: The most bytes that a deflated file may become: as much as clsbench reads of any.
MAX_INFLATED = 1 << 30

_DEFLATED = b"1.2.840.10008.1.2.1.99"

#: JPEG markers that begin a frame, JPEG-LS's among them.
_SOF = {*range(0xC0, 0xD0), 0xF7} - {0xC4, 0xC8, 0xCC}


def is_dicom(data: bytes) -> bool:
    """Whether a file is DICOM by its preamble."""
    return data[128:132] == b"DICM"


def check_deflated(data: bytes) -> None:
    """Refuse a file that is small only as long as it is deflated.

    Raises:
        ImageError: ``too_large``.
    """
    head = data[132:1024]
    if _DEFLATED not in head:
        return
    # The file's meta information, group 2, ends where its first element says.
    length = struct.unpack_from("<I", data, 140)[0] if head.startswith(b"\x02\0\0\0UL\x04\0") else 0
    inflater, rest, total = zlib.decompressobj(-zlib.MAX_WBITS), data[144 + length :], 0
    try:
        while rest and not inflater.eof:
            total += len(inflater.decompress(rest, 1 << 20))
            rest = inflater.unconsumed_tail
            if total > MAX_INFLATED:
                raise ImageError("too_large", "the deflated DICOM file becomes too large")
    except zlib.error:
        raise ImageError("truncated", "damaged DICOM image: its deflated part cannot be inflated") from None


def check_frame(dataset: Dataset, index: int) -> None:
    """Refuse a compressed frame of another size than the file says, or that swells beyond it.

    Raises:
        ImageError: ``truncated``.
    """
    from pydicom.encaps import get_frame
    from pydicom.uid import RLELossless

    tables = (dataset.get("ExtendedOffsetTable"), dataset.get("ExtendedOffsetTableLengths"))
    count, rows, columns = int(dataset.get("NumberOfFrames") or 1), int(dataset.Rows), int(dataset.Columns)
    offsets = tables if None not in tables else None
    frame = get_frame(dataset.PixelData, index, number_of_frames=count, extended_offsets=offsets)
    if dataset.file_meta.TransferSyntaxUID == RLELossless:
        # An even number of bytes; some writers pad further.
        if any(size > rows * columns + 64 for size in rle_sizes(frame)):
            raise ImageError("truncated", "damaged DICOM image: an RLE segment is longer than the image")
    elif (found := codestream_size(frame)) is not None and found != (columns, rows):
        got, expected = ("{} × {} pixels".format(*size) for size in (found, (columns, rows)))
        raise ImageError("truncated", "the DICOM header contradicts the image in it", got=got, expected=expected)


def codestream_size(frame: bytes) -> tuple[int, int] | None:
    """(width, height) in the header of a JPEG, JPEG-LS or JPEG 2000 image; None for anything else.

    >>> codestream_size(bytes.fromhex("ffd8ffc0000b080010002001011100"))
    (32, 16)
    """
    start = frame.find(b"\xff\x4f\xff\x51", 0, 4096)  # SOC and SIZ, perhaps in a JP2 file
    if start >= 0 and len(frame) >= start + 24:
        right, bottom, left, top = struct.unpack_from(">4I", frame, start + 8)
        return right - left, bottom - top
    position = 2 if frame.startswith(b"\xff\xd8") else len(frame)
    while position + 9 <= len(frame) and frame[position] == 0xFF:
        marker = frame[position + 1]
        if marker in _SOF:
            height, width = struct.unpack_from(">2H", frame, position + 5)
            return width, height
        fill = marker == 0xFF
        position += 1 if fill else 2 + int.from_bytes(frame[position + 2 : position + 4], "big")
    return None


def rle_sizes(frame: bytes) -> list[int]:
    """Bytes that each segment of an RLE frame becomes.

    >>> rle_sizes(struct.pack("<16L", 1, 64, *[0] * 14) + bytes([255, 7, 1, 8, 9]))
    [4]
    """
    count, *offsets = struct.unpack_from("<16L", frame)
    ends = [*offsets[1:count], len(frame)]
    return [_rle_size(frame[start:end]) for start, end in zip(offsets[:count], ends, strict=False)]


def _rle_size(segment: bytes) -> int:
    """PackBits: n < 128 is followed by n + 1 bytes, n > 128 by one that stands for 257 - n."""
    position = total = 0
    while position < len(segment) - 1:
        n = segment[position]
        if n < 128:
            position, total = position + n + 2, total + n + 1
        elif n > 128:
            position, total = position + 2, total + 257 - n
        else:
            position += 1
    return total
