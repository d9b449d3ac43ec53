"""Two jobs that write one output exclude each other.

    with exclusive(Path("preds.csv"), "the predictions"):
        …

The lock is one of the system on the file ``.preds.csv.lock`` beside the output, which goes with its process: what a
killed job leaves is no obstacle. The file is removed at the end; it says which process holds it, for the error of the
other, and a file of something else under that name is refused.
"""

from __future__ import annotations

import errno
import fcntl
import os
import re
import shutil
import stat
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from clsbench.errors import DataError
from clsbench.output_files import PARTIAL_BYTES, is_device, short_name, unwritable

#: What a lock file of ours begins with; the process follows.
_MARK = b"clsbench "


class HeldError(DataError):
    """Another job holds the lock of an output."""


@contextmanager
def exclusive(file: Path, what: str) -> Iterator[None]:
    """Hold the lock of an output file; a device or a pipe has none.

    Args:
        file: The output; the folders above it are made.
        what: It, for messages: ``the predictions``.

    Raises:
        HeldError: if another job holds it.
        DataError: if the lock file cannot be made or is not one of ours.
    """
    if is_device(file):
        yield
        return
    path = lock_path(file)
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        held = _take(path, file)
    except OSError as error:
        raise unwritable(file, what, error) from None
    try:
        yield
    finally:
        with suppress(OSError):  # still under the lock, so that it is this job's
            path.unlink()
        os.close(held)


def remove_leftovers(file: Path) -> list[Path]:
    """Remove what killed jobs left of a file; only for who holds its lock, as a running job's is removed as well.

    Args:
        file: The output: of ``preds.csv`` files such as ``preds.csv.0123456789abcdef.partial`` are removed, and what
            a writer was given that for was writing.

    Returns:
        What was removed.
    """
    target = Path(os.path.realpath(file))
    ours = re.compile(re.escape(short_name(target.name, PARTIAL_BYTES)) + r"(\.[0-9a-f]{16}\.partial)+")
    removed = []
    with suppress(OSError), os.scandir(target.parent) as entries:
        for entry in entries:
            if not ours.fullmatch(entry.name):
                continue
            with suppress(OSError):
                if entry.is_dir(follow_symlinks=False):
                    shutil.rmtree(entry.path)
                elif entry.is_file(follow_symlinks=False):
                    os.unlink(entry.path)
                else:
                    continue
                removed.append(Path(entry.path))
    return sorted(removed)


def lock_path(file: Path) -> Path:
    """The lock file of an output: ``.preds.csv.lock`` beside the file itself, also where the path is a link."""
    target = Path(os.path.realpath(file))
    return target.with_name(f".{short_name(target.name, len('..lock'))}.lock")


def _take(path: Path, file: Path) -> int:
    """The open and locked lock file."""
    while True:
        opened = _open(path)
        try:
            _lock(opened, path, file)
            with suppress(FileNotFoundError):
                if os.path.samestat(os.fstat(opened), path.lstat()):
                    os.ftruncate(opened, 0)
                    os.pwrite(opened, _MARK + f"process {os.getpid()} on {os.uname().nodename}\n".encode(), 0)
                    return opened
        except BaseException:
            os.close(opened)
            raise
        os.close(opened)  # its last holder removed it meanwhile


def _open(path: Path) -> int:
    """The lock file, opened without following a link."""
    try:
        opened = os.open(path, os.O_CREAT | os.O_RDWR | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC, 0o666)
    except OSError as error:
        if error.errno in (errno.ELOOP, errno.EMLINK, errno.ENXIO, errno.EISDIR):
            raise _foreign(path, "a link, a folder or a device") from None
        raise
    begin = os.pread(opened, len(_MARK), 0) if stat.S_ISREG(os.fstat(opened).st_mode) else b"?"
    if begin not in (b"", _MARK):
        os.close(opened)
        raise _foreign(path, "a file of something else")
    return opened


def _lock(opened: int, path: Path, file: Path) -> None:
    try:
        fcntl.flock(opened, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        who = os.pread(opened, 200, 0).removeprefix(_MARK).decode("utf-8", "replace").strip()
        raise HeldError(
            "another job is writing this file", where=file, got=who or None,
            hint="wait until it has ended, stop it, or choose another path",
        ) from None  # fmt: skip
    except OSError as error:
        if error.errno not in (errno.ENOLCK, errno.ENOTSUP, errno.ENOSYS):  # a file system without locks
            raise


def _foreign(path: Path, found: str) -> DataError:
    return DataError(
        "the lock file of this output is not one of clsbench", where=path, got=found,
        hint="remove it if nothing needs it, or choose another path",
    )  # fmt: skip
