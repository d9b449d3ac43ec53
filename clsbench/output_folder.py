"""WholeFolder: a folder of output files, written whole or not at all; as :class:`clsbench.output_files.WholeFile`."""

from __future__ import annotations

import os
import shutil
import stat
from collections.abc import Callable, Sequence
from contextlib import suppress
from pathlib import Path

from clsbench.errors import DataError
from clsbench.output_files import partial_path, sync, unwritable
from clsbench.text import some


class WholeFolder:
    """One folder being filled, under another name until it is complete.

    Args:
        folder: Its path; the folders above it are made. One that is there is replaced as a whole, so its content has
            to be asked about before.
        what: It, for messages.
        others: The names of what is in a folder and is not to be replaced with it.
    """

    def __init__(self, folder: Path, what: str, others: Callable[[Path], Sequence[str]]) -> None:
        self.folder, self.what, self._others = folder, what, others
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
        if self._target.is_dir():
            self.path.chmod(stat.S_IMODE(self._target.stat().st_mode))

    def finish(self) -> None:
        """Give the folder its own name; its files are on the disk already.

        Raises:
            OSError: if that cannot be done.
            DataError: if files of others have come into the folder since it was asked about.
        """
        sync(self.path)
        refuse_others(self._target, self.what, self._others)
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


def refuse_others(folder: Path, what: str, others: Callable[[Path], Sequence[str]]) -> None:
    """Refuse a folder with files that would be lost.

    Args:
        folder, what, others: As for :class:`WholeFolder`; it need not be there.

    Raises:
        DataError: naming some of them.
    """
    if os.path.isdir(folder) and (found := others(folder)):
        raise DataError(
            f"the folder for {what} holds other files", where="--out", got=f"{folder} with {some(found)}",
            expected="a new or an empty folder, or one of earlier predictions",
        )  # fmt: skip


def _is_mount(place: str) -> bool:
    """Whether a file system is mounted at a folder, also a part of the one around it, which `ismount` does not see."""
    if os.path.ismount(place):
        return True
    written = os.fsencode(place).replace(b"\\", b"\\134").replace(b" ", b"\\040")
    try:
        return any(line.split(b" ")[4] == written for line in Path("/proc/self/mountinfo").read_bytes().splitlines())
    except (OSError, IndexError):  # another system than Linux
        return False


def refuse_places(folder: Path, what: str) -> None:
    """Refuse a folder that cannot be replaced by another of its name.

    Raises:
        DataError: for the working directory, one without a name, or one where a file system is mounted.
    """
    place = os.path.realpath(folder)
    if folder.name in ("", "..") or place == os.path.realpath(os.curdir):
        reason = "the folder is the working directory, or has no name"
    elif _is_mount(place):
        reason = "a file system is mounted at the folder"
    else:
        return
    raise DataError(
        f"{what} cannot be written: {reason}", where="--out", got=folder,
        expected="a folder that can be replaced as a whole", hint=f"a folder in it: {os.path.join(folder, 'preds')}/",
    )  # fmt: skip
