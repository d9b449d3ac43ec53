"""Class folders of DICOM files, for training and evaluation, which have no option for a decoder."""

from __future__ import annotations

from dataclasses import dataclass, replace
from functools import cache
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from clsbench import Dataset, Entry, Sample, folder_dataset
from clsbench_dicom.decoder import DicomDecoder
from clsbench_dicom.frames import is_dicom


@dataclass(frozen=True, slots=True)
class DicomEntry:
    """An image that is decoded where it is read; any that is no DICOM file is left as it is.

    Args:
        entry: Its bytes.
        window, frame: As for :class:`DicomDecoder`.
    """

    entry: Entry
    window: str
    frame: int | None

    @property
    def name(self) -> str:
        """As the entry is called."""
        return self.entry.name

    @property
    def remote(self) -> bool:
        """Whether reading waits for a network."""
        return bool(getattr(self.entry, "remote", False))

    def read(self) -> bytes | NDArray[np.uint8]:
        """Pixels, uint8 (H, W, 3), of a DICOM file; the bytes of any other.

        Raises:
            ImageError: if it cannot be read.
        """
        data = self.entry.read()
        return _decoder(self.window, self.frame)(data) if isinstance(data, bytes) and is_dicom(data) else data

    def stamp(self) -> tuple[int, int] | None:
        """Size in bytes and modification time of its file, where it has one: a change of it would show."""
        stamp = getattr(self.entry, "stamp", None)
        found: tuple[int, int] | None = stamp() if stamp else None
        return found


@cache
def _decoder(window: str, frame: int | None) -> DicomDecoder:
    return DicomDecoder(window=window, frame=frame)


def dicom_dataset(root: Path | str | None, *, attribute: str | None, window: str, frame: int | None) -> Dataset:
    """See :func:`clsbench_dicom.build_dataset`."""
    _decoder(window, frame)  # refuses wrong options
    found = folder_dataset(root, attribute=attribute)
    splits = {
        split: [Sample(DicomEntry(s.image, window, frame), s.label, s.group) for s in samples]
        for split, samples in found.splits.items()
    }
    return replace(found, splits=splits)
