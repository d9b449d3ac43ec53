"""Spill: where the large arrays of an evaluation live, and how to walk through them.

An array stays in memory while it fits below a limit. A larger one is a file in the folder
for temporary files (TMPDIR), mapped into memory, and vanishes with the context. Pages of
such a file count as this process's memory for as long as they are mapped, so they are let
go after each part: peak memory does not grow with the number of rows.
"""

from __future__ import annotations

import mmap
import shutil
import tempfile
from collections import deque
from collections.abc import Iterator
from contextlib import ExitStack
from functools import cached_property
from pathlib import Path
from typing import Any, Self

import numpy as np
from numpy.typing import NDArray

from clsbench.errors import DataError

#: Bytes of an array that may stay in memory.
MEMORY_LIMIT = 400_000_000

#: Numbers in one part of a matrix: 16 MB of float32.
PART = 1 << 22


class Spill:
    """Makes arrays; a context manager, after which those in files are gone.

    Args:
        limit: Bytes of one array that may stay in memory.
    """

    def __init__(self, limit: int = MEMORY_LIMIT) -> None:
        self.limit = limit
        self._stack = ExitStack()
        self._files = 0

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *exc: object) -> None:
        self._stack.close()

    @cached_property
    def _folder(self) -> Path:
        # Windows cannot remove a file that is still mapped; the system's own cleaning has to.
        made = tempfile.TemporaryDirectory(prefix="clsbench-", ignore_cleanup_errors=True)
        return Path(self._stack.enter_context(made))

    def file(self, size: int) -> Path:
        """A new file's path, where there is room for so many bytes.

        Raises:
            DataError: if there is not.
        """
        free = shutil.disk_usage(self._folder).free
        # Where a mapped file meets a full disk the system ends the process, so it is asked before.
        if free < size:
            raise DataError(
                "there is not enough room for temporary files",
                where=self._folder.parent,
                got=f"{free / 1e9:.1f} GB",
                expected=f"{size / 1e9:.1f} GB",
                hint="set TMPDIR to a folder with more room",
            )
        self._files += 1
        return self._folder / f"{self._files}.f32"

    def empty(self, shape: tuple[int, int]) -> NDArray[np.float32]:
        """float32 of that shape, its content undefined."""
        size = shape[0] * shape[1] * 4
        if size <= self.limit:
            return np.empty(shape, np.float32)
        return np.memmap(self.file(size), np.float32, "w+", shape=shape)


class Blocks:
    """Blocks float32 (K, n) that arrive one after another and become one array (K, N).

    Args:
        spill: Makes the array, and keeps the blocks where they are too many for memory.
        height: K.
    """

    def __init__(self, spill: Spill, height: int) -> None:
        self._spill, self._height = spill, height
        self._waiting: deque[NDArray[np.float32]] = deque()
        self._widths: list[int] = []
        self._spool: Path | None = None

    def append(self, block: NDArray[np.float32]) -> None:
        """Take a block."""
        self._widths.append(block.shape[1])
        self._waiting.append(block)
        if self._height * sum(block.shape[1] for block in self._waiting) * 4 > self._spill.limit // 4:
            self._write()

    def _write(self) -> None:
        more = self._spill.file(4 * self._height * sum(block.shape[1] for block in self._waiting))
        self._spool = self._spool or more
        with self._spool.open("ab") as file:
            while self._waiting:
                file.write(np.ascontiguousarray(self._waiting.popleft()).data)

    def _blocks(self) -> Iterator[NDArray[np.float32]]:
        waiting = len(self._waiting)
        if self._spool:
            with self._spool.open("rb") as file:
                for width in self._widths[: len(self._widths) - waiting]:
                    read = np.fromfile(file, np.float32, self._height * width)
                    yield read.reshape(self._height, width)
            self._spool.unlink()
        while self._waiting:
            yield self._waiting.popleft()

    def joined(self) -> NDArray[np.float32]:
        """float32 (K, N): the blocks side by side. They are gone afterwards."""
        whole, start = self._spill.empty((self._height, sum(self._widths))), 0
        for block in self._blocks():
            whole[:, start : start + block.shape[1]] = block
            start += block.shape[1]
            release(whole)
        return whole


def parts(matrix: NDArray[np.float32]) -> Iterator[tuple[slice, NDArray[np.float32]]]:
    """Walk through (K, N) by columns: the range, and float32 (K, n) of it."""
    height, width = matrix.shape
    step = max(1, PART // height)
    for start in range(0, width, step):
        columns = slice(start, min(start + step, width))
        yield columns, np.asarray(matrix[:, columns])
        release(matrix)


def release(array: NDArray[Any]) -> None:
    """Let go of the pages of an array in a file; they are read again when needed."""
    mapped = getattr(array, "_mmap", None)
    if mapped is not None and hasattr(mapped, "madvise"):
        mapped.madvise(mmap.MADV_DONTNEED)
