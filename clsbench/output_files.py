"""Output files: written whole or not at all, and asked about before the work that fills them.

A file is written under a name that nobody else has, ``NAME.<16 hex digits>.partial``, and gets its own name when it
is complete and on the disk, with the permissions that opening it would have given. Devices and pipes, such as
``/dev/stdout``, are written directly. Jobs that exclude each other use :mod:`clsbench.output_lock`.
"""

from __future__ import annotations

import errno
import hashlib
import os
import secrets
import shutil
import stat
from collections.abc import Iterator, Sequence
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

#: Bytes of a file name, on nearly every file system.
_NAME_MAX = 255

#: What the name of an unfinished file has more than that of the file, in bytes: ``.0123456789abcdef.partial``.
PARTIAL_BYTES = 25


class WholeFile:
    """One file being written.

    Args:
        file: Its path; the folders above it are made.
        what: It, for messages: ``the predictions``.
        synced: Whether it is on the disk before it has its name: so that after a power loss it is whole or not there.
    """

    def __init__(self, file: Path, what: str, *, synced: bool = True) -> None:
        self.file, self.what, self._synced = file, what, synced
        self._direct = is_device(file)
        self._target = file if self._direct else Path(os.path.realpath(file))
        #: Where to write.
        self.path = self._target if self._direct else partial_path(self._target)
        self._mode = 0

    def begin(self) -> None:
        """Make the file to be filled: a new one, never one that is there, nor what a link of that name points to.

        Raises:
            OSError: if that cannot be done.
        """
        if self._direct:
            return
        self._target.parent.mkdir(parents=True, exist_ok=True)
        flags = os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_WRONLY | os.O_CLOEXEC
        os.close(os.open(self.path, flags, 0o666))
        self._mode = (self._target if self._target.exists() else self.path).stat().st_mode

    def finish(self) -> None:
        """Give the file its own name.

        Raises:
            OSError: if that cannot be done.
        """
        self._complete()
        self._rename()

    def _complete(self) -> None:
        """The last step before the name: the permissions, and the content on the disk."""
        if self._direct:
            return
        if self.path.stat().st_mode != self._mode:  # some libraries make a file that only its owner may read
            self.path.chmod(stat.S_IMODE(self._mode))
        if self._synced:
            sync(self.path)

    def _rename(self) -> None:
        if self._direct:
            return
        self.path.replace(self._target)
        if self._synced:
            with suppress(OSError):  # not every file system syncs a folder
                sync(self._target.parent)

    def _set_aside(self, *, keep: bool) -> Path | None:
        """The earlier file under another name, None where there is none; ``keep`` leaves it under its own as well."""
        if self._direct:
            return None
        aside = partial_path(self._target)
        try:
            if not keep:
                self._target.replace(aside)
            else:
                os.link(self._target, aside)
        except FileNotFoundError:
            return None
        except OSError:
            if not keep:
                raise
            shutil.copy2(self._target, aside)  # a file system without hard links
        return aside

    def _restore(self, aside: Path | None) -> None:
        """Bring the earlier file back, or none where there was none."""
        if aside is not None:
            aside.replace(self._target)
            aside.unlink(missing_ok=True)  # where both were one file, renaming does nothing
        elif not self._direct:
            self._target.unlink(missing_ok=True)

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
def whole_file(file: Path, what: str, *, synced: bool = True) -> Iterator[Path]:
    """Write a file whole or not at all.

    Args:
        file, what, synced: As for :class:`WholeFile`.

    Yields:
        The path to write to. An earlier file of that name stays until the new one is complete.

    Raises:
        DataError: for every OSError within.
    """
    whole = WholeFile(file, what, synced=synced)
    try:
        whole.begin()
        yield whole.path
        whole.finish()
    except BaseException as error:
        whole.abandon(error)
        if isinstance(error, OSError):
            raise whole.unwritable(error) from None
        raise


def commit_together(files: Sequence[WholeFile]) -> None:
    """Finish several files that belong together: all of them appear, or none.

    A kill between two renames leaves the first file without the others, but never beside others of an earlier job.

    Args:
        files: Begun and filled; the first is the one that means something alone.

    Raises:
        DataError: if one cannot be finished; then all are as before, and the new ones are removed.
    """
    done: list[tuple[WholeFile, Path | None]] = []
    current: WholeFile | None = None
    try:
        for current in files:
            current._complete()
        for current in reversed(files):
            done.append((current, current._set_aside(keep=current is files[0])))
        for current in files:
            current._rename()
    except BaseException as error:
        for file, aside in done:
            with suppress(OSError):
                file._restore(aside)
        for file in files:
            file.abandon(error)
        if isinstance(error, OSError) and current is not None:
            raise current.unwritable(error) from None
        raise
    for _, aside in done:
        if aside is not None:
            with suppress(OSError):
                aside.unlink()


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
        if is_device(file):
            return
        target = Path(os.path.realpath(file))
        with suppress(FileNotFoundError, NotADirectoryError):
            target.lstat()  # refuses a name that is too long
            partial_path(target).lstat()
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


def partial_path(file: Path) -> Path:
    """A name in the same folder that nobody else has."""
    return file.with_name(f"{short_name(file.name, PARTIAL_BYTES)}.{secrets.token_hex(8)}.partial")


def short_name(name: str, room: int) -> str:
    """The name; where ``room`` more bytes would be too many, its beginning and a checksum of all of it."""
    encoded = os.fsencode(name)
    if len(encoded) + room <= _NAME_MAX:
        return name
    ending = f"~{hashlib.sha256(encoded).hexdigest()[:8]}"
    while len(os.fsencode(name)) + len(ending) + room > _NAME_MAX:
        name = name[:-1]
    return name + ending


def sync(path: Path) -> None:
    """Wait until a file, or the names of a folder, are on the disk."""
    opened = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
    try:
        os.fsync(opened)
    finally:
        os.close(opened)


def is_device(file: Path) -> bool:
    """Whether a path is something that cannot be replaced by a file: a device, a pipe, a socket."""
    try:
        mode = file.stat().st_mode
    except OSError:
        return False
    return not (stat.S_ISREG(mode) or stat.S_ISDIR(mode))
