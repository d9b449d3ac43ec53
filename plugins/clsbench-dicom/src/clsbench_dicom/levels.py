"""Stored values to the grey levels and colours that are shown.

Everything that is done to a grey image is done to each value alone, so it is worked out once for each value that
occurs, in float64, and looked up.

Source: DICOM PS3.3, C.11.1 (modality LUT), C.11.2 (VOI LUT and windows), C.7.6.3.1.2 (photometric interpretation).
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from clsbench import ImageError

if TYPE_CHECKING:
    from pydicom import Dataset

#: Values are looked up where so many can occur, and worked out for each pixel where it is more.
TABLE = 1 << 16

#: Pixels that are worked on at a time: the rest of the memory is what the image needs.
BLOCK = 1 << 20

Values = NDArray[np.float64]


def grey_levels(
    stored: NDArray[Any], dataset: Dataset, window: str | tuple[float, float], *, inverted: bool
) -> NDArray[np.uint8]:
    """Stored values (H, W) -> uint8 (H, W, 3).

    Args:
        stored: Integers or floats.
        dataset: How they are meant.
        window: ``auto``, ``range``, or center and width.
        inverted: Whether low values are light (MONOCHROME1).
    """
    if stored.ndim != 2:
        raise ImageError("unsupported", "a grey DICOM image with several samples a pixel", got=stored.shape)
    shown = _Shown(stored, dataset, window, inverted=inverted)
    low, high = (stored.min(), stored.max()) if stored.dtype.kind in "iu" else (0, TABLE)
    levels = np.empty((*stored.shape, 3), np.uint8)
    table = shown(np.arange(int(low), int(high) + 1)) if int(high) - int(low) < TABLE else None
    step = max(1, BLOCK // stored.shape[1])
    for top in range(0, len(stored), step):
        part = stored[top : top + step]
        grey = shown(part) if table is None else table[part.astype(np.int64) - int(low)]
        levels[top : top + step] = grey[:, :, None]
    return levels


class _Shown:
    """Values -> uint8, as one image shows them."""

    def __init__(
        self, stored: NDArray[Any], dataset: Dataset, window: str | tuple[float, float], *, inverted: bool
    ) -> None:
        self._dataset, self._inverted = dataset, inverted
        self._window: tuple[float, float, str] | None = None
        self._table: Dataset | None = None
        if not isinstance(window, str):
            self._window = (*window, "LINEAR")
        elif window == "auto" and dataset.get("VOILUTSequence"):
            self._table = dataset.VOILUTSequence[0]
        elif window == "auto" and dataset.get("WindowWidth") is not None and dataset.get("WindowCenter") is not None:
            function = str(dataset.get("VOILUTFunction") or "LINEAR").upper()
            self._window = (_first(dataset.WindowCenter), _first(dataset.WindowWidth), function)
        elif window == "auto" and _is_eight_bits(dataset):
            self._limits = (0.0, float(2 ** int(dataset.BitsStored) - 1))
        else:
            ends = modality(np.array(_ends(stored, dataset)), dataset)
            self._limits = (float(ends.min()), float(ends.max()))

    def __call__(self, stored: NDArray[Any]) -> NDArray[np.uint8]:
        values = modality(stored, self._dataset)
        if self._table is not None:
            table, first, bits = _lookup_table(self._table)
            parts = _looked_up(values, table, first) / (2**bits - 1)
        elif self._window is not None:
            parts = windowed(values, *self._window)
        else:
            low, high = self._limits
            parts = (values - low) / ((high - low) or 1.0)
        levels: NDArray[np.uint8] = np.rint(255 * np.clip(np.nan_to_num(parts), 0, 1)).astype(np.uint8)
        return np.subtract(255, levels) if self._inverted else levels


def modality(stored: NDArray[Any], dataset: Dataset) -> Values:
    """Stored values -> what the modality measured, such as Hounsfield units (PS3.3 C.11.1)."""
    if dataset.get("ModalityLUTSequence"):
        table, first, _ = _lookup_table(dataset.ModalityLUTSequence[0])
        return _looked_up(stored, table, first)
    slope, intercept = dataset.get("RescaleSlope"), dataset.get("RescaleIntercept")
    values = stored.astype(np.float64)
    return values if slope is None or intercept is None else values * float(slope) + float(intercept)


def windowed(values: Values, center: float, width: float, function: str) -> Values:
    """Values -> parts from 0 to 1 of what can be shown, and beyond (PS3.3 C.11.2.1.2 and C.11.2.1.3).

    Raises:
        ImageError: ``truncated`` for a width or a function that does not exist.
    """
    if function == "LINEAR" and width == 1:
        return (values > center - 0.5).astype(np.float64)
    if function == "LINEAR" and width > 1:
        return (values - (center - 0.5)) / (width - 1) + 0.5
    if function == "LINEAR_EXACT" and width > 0:
        return (values - center) / width + 0.5
    if function == "SIGMOID" and width > 0:
        return 1 / (1 + np.exp(np.clip(-4 * (values - center) / width, -700, 700)))
    raise ImageError(
        "truncated", "the DICOM file has an unusable window", got=f"a width of {width:g}",
        hint="name another with --with decoder.window=CENTER,WIDTH",
    )  # fmt: skip


def colour_levels(pixels: NDArray[Any], dataset: Dataset, photometric: str) -> NDArray[np.uint8]:
    """Decoded pixels, (H, W) of a palette or (H, W, 3) -> uint8 (H, W, 3)."""
    bits = int(dataset.BitsStored)
    if photometric == "PALETTE COLOR":
        from pydicom.pixels import apply_color_lut

        pixels = apply_color_lut(pixels, dataset)
        bits = 8 * pixels.dtype.itemsize
    elif photometric != "RGB":
        raise ImageError("unsupported", "a DICOM image in colours that are not read here")
    if pixels.ndim != 3 or pixels.shape[2] != 3 or pixels.dtype.kind != "u":
        raise ImageError("unsupported", "a DICOM image in colour of an odd form", got=f"{pixels.dtype} {pixels.shape}")
    if bits > 8:
        pixels = pixels >> (bits - 8)
    return np.ascontiguousarray(pixels.astype(np.uint8))


def _is_eight_bits(dataset: Dataset) -> bool:
    """Whether the values are levels that can be shown as they are."""
    slope, intercept = (dataset.get(name) for name in ("RescaleSlope", "RescaleIntercept"))
    rescaled = slope is not None and intercept is not None and (float(slope), float(intercept)) != (1, 0)
    unsigned = dataset.get("PixelRepresentation") == 0 and "PixelData" in dataset
    return unsigned and int(dataset.BitsStored) <= 8 and not rescaled and not dataset.get("ModalityLUTSequence")


def _ends(stored: NDArray[Any], dataset: Dataset) -> list[Any]:
    """Lowest and highest stored value, of those outside the image's own padding (PS3.3 C.7.5.1.1.2) and finite."""
    inside = np.isfinite(stored) if stored.dtype.kind == "f" else None
    if (padding := dataset.get("PixelPaddingValue")) is not None:
        ends = sorted((int(padding), int(dataset.get("PixelPaddingRangeLimit") or padding)))
        inside = (stored < ends[0]) | (stored > ends[1])
    found = stored if inside is None or not inside.any() else stored[inside]
    return [found.min(), found.max()]


def _first(value: Any) -> float:
    return float(value if isinstance(value, int | float | str) else value[0])


def _lookup_table(item: Dataset) -> tuple[NDArray[Any], int, int]:
    """(entries, first value that is mapped, bits of an entry) of a modality or VOI LUT."""
    count, first, bits = (int(number) for number in item.LUTDescriptor)
    data = item.LUTData
    table = np.frombuffer(data, "<u2") if isinstance(data, bytes) else np.atleast_1d(np.asarray(data))
    return table[: count or 1 << 16].astype(np.int64), first, bits


def _looked_up(values: NDArray[Any], table: NDArray[Any], first: int) -> Values:
    """Entries for values; those before the first and after the last get that one."""
    positions = np.clip(np.nan_to_num(values) - first, 0, len(table) - 1).astype(np.int64)
    found: Values = table[positions].astype(np.float64)
    return found
