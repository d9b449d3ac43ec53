"""DICOM images: a decoder with windowing, and a dataset of class folders; see README.md.

This module is imported whenever a name has to be looked up, so it imports nothing heavy.
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING

from clsbench import Component, hookimpl

if TYPE_CHECKING:
    from clsbench import Dataset
    from clsbench_dicom.decoder import DicomDecoder


@hookimpl
def register_decoders() -> Iterator[Component]:
    """``dicom``."""
    yield Component("dicom", build_decoder, "DICOM by pydicom, in the file's window or one of your own")


@hookimpl
def register_datasets() -> Iterator[Component]:
    """``dicom``."""
    yield Component("dicom", build_dataset, "class folders of DICOM files, read in one window")


def build_decoder(*, window: str = "auto", frame: int | None = None) -> DicomDecoder:
    """Open pydicom.

    Args:
        window: ``auto``: as the file says, by its VOI lookup table or first window, and without one from its lowest
            to its highest value, or 8 bits as they are. ``range``: always the latter, lowest to highest.
            ``CENTER,WIDTH``: after rescaling, such as ``40,400`` in Hounsfield units.
        frame: Which image of a file with several, from 1 as DICOM counts them.

    Raises:
        OptionError: if the window or the frame cannot be used.
    """
    from clsbench_dicom.decoder import DicomDecoder

    return DicomDecoder(window=window, frame=frame)


def build_dataset(
    root: Path | str | None, *, attribute: str | None = None, window: str = "auto", frame: int | None = None
) -> Dataset:
    """Class folders as clsbench's own dataset ``folder`` reads them, whose DICOM files are read through the decoder.

    Args:
        root: A folder, archive or URL with one folder a class, or ``train/``, ``val/`` and ``test/`` with them.
        attribute: As for ``folder``.
        window, frame: As for the decoder.

    Raises:
        DataError: as for ``folder``.
        OptionError: if the window or the frame cannot be used.
    """
    from clsbench_dicom.dataset import dicom_dataset

    return dicom_dataset(root, attribute=attribute, window=window, frame=frame)
