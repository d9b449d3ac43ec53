"""WholeFolder: a folder of output files, written whole or not at all; as :class:`clsbench.output_files.WholeFile`."""

from __future__ import annotations

import os
import shutil
from contextlib import suppress
from pathlib import Path

from clsbench.errors import DataError
from clsbench.output_files import partial_path, sync, unwritable


class WholeFolder:
    """One folder being filled, under another name until it is complete.

    Args:
        folder: Its path; the folders above it are made. One that is there is replaced as a whole, so its content has
            to be asked about before.
        what: It, for messages.
    """

    def __init__(self, folder: Path, what: str) -> None:
        self.folder, self.what = folder, what
        self._target = Path(os.path.realpath(folder))
        #: Where to write.
        self.path = partial_path(self._target)

    def begin(self) -> None:
        """Make the folder to be filled.

        Raises:
            OSError: if that cannot be done.
        """
        self._target.parent.mkdir(parents=True, exist_ok=True)
        self.path.mkdir()

    def finish(self) -> None:
        """Give the folder its own name; its files are on the disk already.

        Raises:
            OSError: if that cannot be done.
        """
        sync(self.path)
        aside = None
        if self._target.is_dir() and any(self._target.iterdir()):
            aside = partial_path(self._target)
            self._target.rename(aside)
        try:
            self.path.rename(self._target)
        except OSError:
            if aside is not None:
                aside.rename(self._target)
            raise
        with suppress(OSError):  # not every file system syncs a folder
            sync(self._target.parent)
        if aside is not None:
            shutil.rmtree(aside, ignore_errors=True)

    def abandon(self, error: BaseException | None = None) -> None:
        """Remove what was not finished; ``error`` gets a note that says so, if it is an interrupt."""
        if not self.path.is_dir():
            return
        shutil.rmtree(self.path, ignore_errors=True)
        if error is not None and not isinstance(error, Exception):
            error.add_note(f"{self.folder} was not written" + ("; it is as before" * self._target.exists()))

    def unwritable(self, error: OSError) -> DataError:
        """An error of the system as one of ours."""
        return unwritable(self.folder, self.what, error)
