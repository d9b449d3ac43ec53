"""Features beside a predictions file that has no column for them: ``preds.csv.features.npy``, in numpy's format.

float32 (N, D), row k for row k of the predictions file; NaN in rows of images that were not classified. The rows are
appended as they come, so that memory does not grow with them.
"""

from __future__ import annotations

from pathlib import Path
from types import TracebackType
from typing import BinaryIO, Self

import numpy as np
from numpy.typing import NDArray

from clsbench.errors import DataError
from clsbench.output_files import WholeFile, short_name
from clsbench.predictions.block import Predictions

#: Of the file, for messages.
WHAT = "the features"

_ENDING = ".features.npy"

#: Numbers are little-endian on every machine.
_DTYPE = np.dtype("<f4")


def features_path(predictions: Path) -> Path:
    """Where the features of a predictions file are: ``preds.csv.features.npy``; a very long name is shortened."""
    return predictions.with_name(short_name(predictions.name, len(_ENDING)) + _ENDING)


class FeatureWriter:
    """Writes one file; a context manager, whole or not at all.

    Args:
        file: Its path; see :func:`features_path`.
        rows: N, how many there will be.
        feature_dim: D.
    """

    def __init__(self, file: Path, rows: int, feature_dim: int) -> None:
        self._whole, self._shape = WholeFile(file, WHAT), (rows, feature_dim)
        self._stream: BinaryIO | None = None
        self._written = 0

    def __enter__(self) -> Self:
        try:
            self._whole.begin()
            self._stream = self._whole.path.open("wb")
            write_header(self._stream, self._shape)
        except OSError as error:
            self._whole.abandon()
            raise self._whole.unwritable(error) from None
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        assert self._stream is not None
        try:
            self._stream.close()
            if error is None:
                assert self._written == self._shape[0]  # a job has a row for each of its images
                self._whole.finish()
        except OSError as failure:
            if error is None:
                raise self._whole.unwritable(failure) from None
        finally:
            self._whole.abandon(error)

    def write(self, predictions: Predictions) -> None:
        """Append the features of a block.

        Raises:
            DataError: if the file cannot be written.
        """
        assert self._stream is not None
        assert predictions.features is not None
        try:
            write_rows(self._stream, predictions.features)
        except OSError as error:
            raise self._whole.unwritable(error) from None
        self._written += len(predictions.features)


def write_header(stream: BinaryIO, shape: tuple[int, int]) -> None:
    """How a file of that many rows begins."""
    described = {"descr": np.lib.format.dtype_to_descr(_DTYPE), "fortran_order": False, "shape": shape}
    np.lib.format.write_array_header_1_0(stream, described)


def write_rows(stream: BinaryIO, rows: NDArray[np.float32]) -> None:
    """Append rows float32 (n, D)."""
    stream.write(np.ascontiguousarray(rows, _DTYPE).data)


def is_array(file: Path) -> bool:
    """Whether a file is there and in numpy's format.

    Raises:
        OSError: if it cannot be read.
    """
    if not file.is_file():
        return False
    with file.open("rb") as stream:
        return stream.read(len(np.lib.format.MAGIC_PREFIX)) == np.lib.format.MAGIC_PREFIX


def open_features(file: Path, shape: tuple[int, int]) -> NDArray[np.float32]:
    """The features in a file, float32 of that shape, mapped into memory.

    Raises:
        DataError: if they are not there, or something else is.
    """
    try:
        found: NDArray[np.float32] = np.load(file, mmap_mode="r" if shape[0] else None, allow_pickle=False)
    except (OSError, ValueError, EOFError) as error:
        got = getattr(error, "strerror", None) or str(error)[:200]
        raise DataError("the features beside a predictions file cannot be read", where=file, got=got) from None
    if not isinstance(found, np.ndarray) or found.dtype != _DTYPE or found.shape != shape:
        got = f"{found.dtype} {found.shape}" if isinstance(found, np.ndarray) else type(found).__name__
        raise DataError(
            "the features are not those of the predictions file", where=file, got=got, expected=f"float32 {shape}",
            hint="one of the two files was changed or replaced: infer again",
        )  # fmt: skip
    return found
