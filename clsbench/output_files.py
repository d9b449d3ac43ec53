"""Output files: written whole or not at all, and asked about before the work that fills them.

A file is written under a name that ends in ``.partial`` and gets its own name when it is complete, with the
permissions that opening it would have given. Devices and pipes, such as ``/dev/stdout``, are written directly.
"""

from __future__ import annotations

import errno
import os
import stat
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from clsbench.errors import DataError

#: What to do about an error of the system.
_REMEDIES = {
    errno.ENOSPC: "free some space there, or choose a path on another disk",
    errno.EDQUOT: "free some space there, or choose a path on another disk",
    errno.EACCES: "choose a path that you may write to, or change the permissions",
    errno.EPERM: "choose a path that you may write to, or change the permissions",
    errno.EROFS: "choose a path on a file system that is not read-only",
    errno.ENAMETOOLONG: "choose a shorter name",
    errno.ENOTDIR: "choose another path",
    errno.EISDIR: "name a file, not a folder",
}

#: Bytes that are written to try a folder: a full disk still takes an empty file.
_PROBE = 4096


class WholeFile:
    """One file being written.

    Args:
        file: Its path; the folders above it are made.
        what: It, for messages: ``the predictions``.
    """

    def __init__(self, file: Path, what: str) -> None:
        self.file, self.what = file, what
        self._direct = _is_device(file)
        self._target = file if self._direct else Path(os.path.realpath(file))
        #: Where to write.
        self.path = self._target if self._direct else _partial(self._target)
        self._mode = 0

    def begin(self) -> None:
        """Make the file to be filled.

        Raises:
            OSError: if that cannot be done.
        """
        if self._direct:
            return
        self._target.parent.mkdir(parents=True, exist_ok=True)
        self.path.open("wb").close()
        self._mode = (self._target if self._target.exists() else self.path).stat().st_mode

    def finish(self) -> None:
        """Give the file its own name.

        Raises:
            OSError: if that cannot be done.
        """
        if self._direct:
            return
        if self.path.stat().st_mode != self._mode:  # some libraries make a file that only its owner may read
            self.path.chmod(stat.S_IMODE(self._mode))
        self.path.replace(self._target)

    def abandon(self, error: BaseException | None = None) -> None:
        """Remove what was not finished; ``error`` gets a note that says so, if it is an interrupt."""
        if self._direct:
            return
        with suppress(OSError):
            self.path.unlink()
            if error is not None and not isinstance(error, Exception):
                error.add_note(f"{self.file} was not written" + ("; it is as before" * self._target.exists()))

    def unwritable(self, error: OSError) -> DataError:
        """An error of the system as one of ours."""
        return unwritable(self.file, self.what, error)


@contextmanager
def whole_file(file: Path, what: str) -> Iterator[Path]:
    """Write a file whole or not at all.

    Args:
        file, what: As for :class:`WholeFile`.

    Yields:
        The path to write to. An earlier file of that name stays until the new one is complete.

    Raises:
        DataError: for every OSError within.
    """
    whole = WholeFile(file, what)
    try:
        whole.begin()
        yield whole.path
        whole.finish()
    except BaseException as error:
        whole.abandon(error)
        if isinstance(error, OSError):
            raise whole.unwritable(error) from None
        raise


def check_writable(file: Path, what: str) -> None:
    """Refuse a path that no file can be written to, before there is work to lose.

    Args:
        file, what: As for :class:`WholeFile`.

    Raises:
        DataError: saying why: it is a folder, there are no rights, the disk is full, the name is too long.
    """
    try:
        if file.is_dir():
            raise IsADirectoryError(errno.EISDIR, "it is a folder")
        if _is_device(file):
            return
        target = Path(os.path.realpath(file))
        with suppress(FileNotFoundError, NotADirectoryError):
            _partial(target).lstat()  # refuses a name that is too long
        if target.exists() and not os.access(target, os.W_OK):
            raise PermissionError(errno.EACCES, "the file is there and may not be changed")
        _try_folder(target.parent)
    except OSError as error:
        raise unwritable(file, what, error) from None


def check_folder(folder: Path, what: str) -> None:
    """The same for a folder that files are to be written into; it need not exist yet.

    Raises:
        DataError: as :func:`check_writable`.
    """
    try:
        if folder.exists() and not folder.is_dir():
            raise NotADirectoryError(errno.EEXIST, f"{folder} is a file")
        _try_folder(folder)
    except OSError as error:
        raise unwritable(folder, what, error) from None


def make_folder(folder: Path, what: str) -> None:
    """Make a folder that is not there yet, and those above it.

    Raises:
        DataError: if that cannot be done.
    """
    try:
        folder.mkdir(parents=True)
    except OSError as error:
        raise unwritable(folder, what, error) from None


def unwritable(file: Path, what: str, error: OSError) -> DataError:
    """An error of the system about an output, with what to do about it."""
    hint = _REMEDIES.get(error.errno) if error.errno is not None else None
    return DataError(f"{what} cannot be written", where=file, got=error.strerror or error, hint=hint)


def _try_folder(folder: Path) -> None:
    """Write something into a folder, or the first one above it that is there, and leave nothing behind."""
    import tempfile

    folder = Path(os.path.abspath(folder))
    above = next(path for path in (folder, *folder.parents) if path.exists())
    if not above.is_dir():
        raise NotADirectoryError(errno.ENOTDIR, f"{above} is a file")
    with tempfile.TemporaryFile(dir=above) as probe:
        probe.write(bytes(_PROBE))


def _partial(file: Path) -> Path:
    return file.with_name(file.name + ".partial")


def _is_device(file: Path) -> bool:
    """Whether a path is something that cannot be replaced by a file: a device, a pipe, a socket."""
    try:
        mode = file.stat().st_mode
    except OSError:
        return False
    return not (stat.S_ISREG(mode) or stat.S_ISDIR(mode))
