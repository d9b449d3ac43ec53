"""DicomDecoder: a DICOM file to the pixels that a viewer shows.

Only the elements that say how pixels are meant are read of a file, so that nothing about the patient is even parsed,
nor quoted by an error or a warning.

Source: DICOM PS3.3, C.7.6.3 (pixels), C.11.1 (modality LUT), C.11.2 (VOI LUT); PS3.5, 8.2 and annex A (encodings).
"""

from __future__ import annotations

import math
import re
import warnings
from collections.abc import Callable
from io import BytesIO
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from clsbench import ImageError, OptionError
from clsbench_dicom.frames import check_deflated, check_frame, is_dicom
from clsbench_dicom.levels import colour_levels, grey_levels

if TYPE_CHECKING:
    from pydicom import Dataset

#: Hears (width, height) before an image is decoded, and raises for one that is too large.
Admit = Callable[[int, int], None]

#: What is read of a file; sequences with all that is in them.
ELEMENTS = [
    "SOPClassUID", "Rows", "Columns", "SamplesPerPixel", "PhotometricInterpretation", "PlanarConfiguration",
    "NumberOfFrames", "BitsAllocated", "BitsStored", "HighBit", "PixelRepresentation", "PixelPaddingValue",
    "PixelPaddingRangeLimit", "RescaleSlope", "RescaleIntercept", "ModalityLUTSequence", "WindowCenter", "WindowWidth",
    "VOILUTFunction", "VOILUTSequence", "RedPaletteColorLookupTableDescriptor", "RedPaletteColorLookupTableData",
    "GreenPaletteColorLookupTableDescriptor", "GreenPaletteColorLookupTableData",
    "BluePaletteColorLookupTableDescriptor", "BluePaletteColorLookupTableData",
    "SegmentedRedPaletteColorLookupTableData", "SegmentedGreenPaletteColorLookupTableData",
    "SegmentedBluePaletteColorLookupTableData", "SharedFunctionalGroupsSequence", "PerFrameFunctionalGroupsSequence",
    "ExtendedOffsetTable", "ExtendedOffsetTableLengths", "PixelData", "FloatPixelData", "DoubleFloatPixelData",
]  # fmt: skip

#: Of these, what there is no image without.
_NEEDED = ("Rows", "Columns", "PhotometricInterpretation", "BitsAllocated", "BitsStored")
_PIXELS = ("PixelData", "FloatPixelData", "DoubleFloatPixelData")

#: Functional groups of a frame, and the elements in them that matter here (PS3.3 C.7.6.16).
_GROUPS = {
    "PixelValueTransformationSequence": ("RescaleSlope", "RescaleIntercept"),
    "FrameVOILUTSequence": ("WindowCenter", "WindowWidth", "VOILUTFunction"),
}

#: Pillow's and clsbench's own limit, pixels: for callers without one.
MAX_PIXELS = 2 * 89_478_485

# What pydicom warns of is in the row of the image, or makes no difference; and it may quote the file.
warnings.filterwarnings("ignore", module=r"pydicom\.")


def admit_most(width: int, height: int) -> None:
    """Refuse what no caller would want decoded.

    Raises:
        ImageError: ``too_large``.
    """
    if width * height > MAX_PIXELS:
        raise ImageError("too_large", "the image is too large", got=f"{width} × {height} pixels")


class DicomDecoder:
    """Decodes DICOM images; safe to share between threads.

    Args:
        window: ``auto``, ``range`` or ``CENTER,WIDTH``; see :func:`clsbench_dicom.build_decoder`.
        frame: Which of several images, from 1; None refuses a file with several.

    Raises:
        OptionError: if one of them cannot be used.
    """

    formats, accepts = frozenset({"dicom"}), frozenset({"admit"})

    def __init__(self, *, window: str = "auto", frame: int | None = None) -> None:
        if frame is not None and frame < 1:
            raise OptionError(
                "there is no such frame", where="frame", got=frame, expected="1 or more: frames count from 1"
            )
        self._frame, self._window = frame, _window(window)

    def __call__(self, data: bytes, *, admit: Admit = admit_most) -> NDArray[np.uint8]:
        """DICOM bytes -> uint8 (H, W, 3).

        Args:
            data: The encoded image.
            admit: Asked with the size that the header says, before anything is decoded.

        Raises:
            ImageError: if it is damaged, has no image or several, or is of a kind that nothing installed decodes.
        """
        if not is_dicom(data):
            raise ImageError("not_an_image", "not a DICOM file")
        try:
            dataset = _read(data)
            index = self._index(dataset)
            pixels, photometric = _decode(dataset, index, admit)
            if photometric in ("MONOCHROME1", "MONOCHROME2"):
                _apply_groups(dataset, index)
                return grey_levels(pixels, dataset, self._window, inverted=photometric == "MONOCHROME1")
            return colour_levels(pixels, dataset, photometric)
        except ImageError:
            raise
        except MemoryError:
            raise ImageError("too_large", "the memory does not suffice for the image") from None
        except Exception as error:  # noqa: BLE001  damaged files raise almost anything
            raise ImageError("truncated", f"damaged DICOM image: {_said(error)}") from None

    def _index(self, dataset: Dataset) -> int:
        """Position of the frame that is meant."""
        count = int(dataset.get("NumberOfFrames") or 1)
        if self._frame is None and count > 1:
            raise ImageError(
                "unsupported", f"the DICOM file holds {count} images (frames), not one",
                hint="choose one by the option frame, such as --with decoder.frame=1",
            )  # fmt: skip
        if (self._frame or 1) > count:
            raise ImageError("unsupported", f"there is no frame {self._frame}", got=f"a DICOM file of {count}")
        return (self._frame or 1) - 1


def _window(text: str) -> str | tuple[float, float]:
    if text in ("auto", "range"):
        return text
    try:
        center, width = (float(part) for part in text.split(","))
    except ValueError:
        center, width = math.nan, math.nan
    if not (math.isfinite(center) and math.isfinite(width) and width >= 1):
        raise OptionError(
            "cannot read a window", where="window", got=text,
            expected="auto, range, or CENTER,WIDTH with a width of at least 1", hint="for example 40,400",
        )  # fmt: skip
    return center, width


def _read(data: bytes) -> Dataset:
    """The elements that matter of a file with an image."""
    from pydicom import dcmread

    check_deflated(data)
    dataset = dcmread(BytesIO(data), specific_tags=ELEMENTS)
    if not any(name in dataset for name in _PIXELS):
        if "Rows" in dataset:
            raise ImageError("truncated", "the DICOM file ends before its image, or keeps it elsewhere")
        kind = getattr(dataset.get("SOPClassUID"), "name", None)
        raise ImageError("unsupported", "the DICOM file has no image in it", got=None if kind is None else _said(kind))
    return dataset


def _decode(dataset: Dataset, index: int, admit: Admit) -> tuple[NDArray[Any], str]:
    """(stored values (H, W) or (H, W, samples), photometric interpretation) of a frame."""
    from pydicom.pixels import get_decoder

    if missing := [name for name in _NEEDED if name not in dataset]:
        raise ImageError("truncated", f"damaged DICOM image: its header lacks {', '.join(missing)}")
    rows, columns = int(dataset.Rows), int(dataset.Columns)
    if rows < 1 or columns < 1:
        raise ImageError("truncated", "damaged DICOM image", got=f"{columns} × {rows} pixels")
    admit(columns, rows)
    syntax = dataset.file_meta.TransferSyntaxUID
    try:
        decoder = get_decoder(syntax)
    except NotImplementedError:
        raise ImageError("unsupported", f"DICOM images in {_said(syntax.name)} are not read here") from None
    undecodable = ImageError(
        "unsupported", f"a package is missing that decodes it: {_said(syntax.name)}",
        hint="pip install 'clsbench-dicom[compressed]'",
    )  # fmt: skip
    if not decoder.is_available:
        raise undecodable
    if syntax.is_encapsulated:
        check_frame(dataset, index)
    try:
        pixels, facts = decoder.as_array(dataset, index=index)
    except RuntimeError as error:  # one that is there may not decode all of its kind, such as 12 bits
        raise undecodable if "not support" in str(error) else error from None
    return pixels, str(facts["photometric_interpretation"])


def _apply_groups(dataset: Dataset, index: int) -> None:
    """Put what a multi-frame file says of one frame where files of one image have it."""
    shared = dataset.get("SharedFunctionalGroupsSequence") or []
    each = dataset.get("PerFrameFunctionalGroupsSequence") or []
    for groups in (*shared[:1], *each[index : index + 1]):
        for group, names in _GROUPS.items():
            for item in (groups.get(group) or [])[:1]:
                for name in names:
                    if name in item:
                        dataset[name] = item[name]


def _said(error: object) -> str:
    """A message in printable characters, and not longer than a line."""
    text = " ".join(str(error).split()) or type(error).__name__
    return re.sub(r"[^\x20-\x7e]", "?", text[:200])
