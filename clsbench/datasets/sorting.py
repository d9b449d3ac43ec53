"""Images sorted into class folders: moved, copied or linked to ``INTO/<class>/<name>``, and never over anything.

An image has the name of its file where no other image of its class has that, and else its whole path; both are read as
images of the class by the dataset ``folder``. A file that is there already stays, and so does the image then.
"""

from __future__ import annotations

import errno
import os
import shutil
from collections import Counter
from collections.abc import Callable, Sequence
from contextlib import suppress
from dataclasses import asdict, dataclass
from pathlib import Path, PurePosixPath
from typing import Any, Literal

from clsbench.datasets.labels import class_folder
from clsbench.datasets.write import inside, write_content
from clsbench.errors import ClsbenchError, OptionError
from clsbench.images.entries import Entry, FileEntry
from clsbench.output_files import partial_path, sync, unwritable
from clsbench.text import counted

Mode = Literal["move", "copy", "link"]

#: Errors of the system after which no other image can be written either.
_FATAL = (errno.ENOSPC, errno.EDQUOT, errno.EROFS)

#: So many names of conflicts and failures are kept.
KEPT = 20


@dataclass(frozen=True, kw_only=True)
class SortedImages:
    """What was done.

    Args:
        mode: How.
        folder: Where the class folders are.
        classes: Class -> images in its folder now, without classes of none.
        unclassified: Images without a class, which stay where they are.
        conflicts: How many stay because a file of that name was there; ``conflict_names`` are the first.
        failures: How many could not be sorted; ``failure_texts`` say of the first which and why.
    """

    mode: Mode
    folder: str
    classes: dict[str, int]
    unclassified: int
    conflicts: int
    conflict_names: tuple[str, ...]
    failures: int
    failure_texts: tuple[str, ...]

    @property
    def done(self) -> int:
        """How many images were sorted."""
        return sum(self.classes.values())

    def to_json(self) -> dict[str, Any]:
        """Plain values."""
        values = asdict(self)
        return values | {name: list(values[name]) for name in ("conflict_names", "failure_texts")}


def check_sortable(entries: Sequence[Entry], mode: Mode, folder: Path, roots: Sequence[str]) -> None:
    """Refuse what cannot be sorted, before the work.

    Args:
        entries: The images.
        mode: How.
        folder: For the class folders.
        roots: Folders that the images come from.

    Raises:
        OptionError: if ``folder`` is one of the roots or below, or something but files is to be moved or linked.
    """
    target = os.path.realpath(folder)
    for root in map(os.path.realpath, roots):
        if os.path.commonpath((root, target)) == root:
            raise OptionError(
                "the sorted images would lie among the images of the next job", where=f"--{mode}", got=folder,
                expected=f"a folder outside of {root}",
            )  # fmt: skip
    if mode != "copy" and (other := next((e for e in entries if not isinstance(e, FileEntry)), None)):
        raise OptionError(
            "only images that are files can be moved or linked", where=f"--{mode}", got=other.name,
            hint=f"--copy {folder} writes their content",
        )  # fmt: skip


def sort_images(
    entries: Sequence[Entry],
    classes: Sequence[str | None],
    mode: Mode,
    folder: Path,
    *,
    progress: Callable[[int], None] = lambda count: None,
) -> SortedImages:
    """Sort images into class folders.

    Args:
        entries: N images.
        classes: Their N classes, None for an image that stays where it is.
        mode: ``move``, ``copy``, or ``link`` for symbolic links.
        folder: For the class folders; made if it is not there.
        progress: Called with the number of images since the last call.

    Raises:
        DataError: if nothing more can be written, for example because the disk is full.
    """
    done: Counter[str] = Counter()
    conflicts: list[str] = []
    failures: list[str] = []
    homes = {name: class_folder(name) for name in set(classes) - {None} if name is not None}
    labelled = [(entry, name) for entry, name in zip(entries, classes, strict=True) if name is not None]
    used = Counter((name, inside(entry).name) for entry, name in labelled)
    for entry, name in labelled:
        path = inside(entry)
        target = folder / homes[name] / (path if used[name, path.name] > 1 else PurePosixPath(path.name))
        try:
            target.parent.mkdir(parents=True, exist_ok=True)
            _HOW[mode](entry, target)
            done[name] += 1
        except FileExistsError:
            conflicts.append(f"{entry.name} ({target} is there)")
        except (OSError, ClsbenchError) as error:
            if isinstance(error, OSError) and error.errno in _FATAL:
                raise unwritable(target, f"after {counted(sum(done.values()), 'image')} the next", error) from None
            failures.append(f"{entry.name}: {getattr(error, 'strerror', None) or error}")
        progress(1)
    return SortedImages(
        mode=mode, folder=str(folder), classes=dict(done.most_common()), unclassified=len(entries) - len(labelled),
        conflicts=len(conflicts), conflict_names=tuple(conflicts[:KEPT]),
        failures=len(failures), failure_texts=tuple(failures[:KEPT]),
    )  # fmt: skip


def _copy(entry: Entry, target: Path) -> None:
    if os.path.lexists(target):
        raise FileExistsError(errno.EEXIST, os.strerror(errno.EEXIST))
    unfinished = partial_path(target)
    try:
        if isinstance(entry, FileEntry):
            shutil.copy2(entry.path, unfinished)
        else:
            write_content(entry, unfinished)
        _give_name(unfinished, target)
    finally:
        unfinished.unlink(missing_ok=True)


def _link(entry: Entry, target: Path) -> None:
    assert isinstance(entry, FileEntry)  # see check_sortable
    target.symlink_to(os.path.abspath(entry.path))


def _move(entry: Entry, target: Path) -> None:
    assert isinstance(entry, FileEntry)
    source = Path(entry.path)
    if source.is_symlink():  # the link goes there, and names the same file from there
        target.symlink_to(source.resolve(strict=True))
    else:
        try:
            os.link(source, target)
        except FileExistsError:
            raise
        except OSError:  # another disk, or no hard links
            _copy(entry, target)
            sync(target)
    try:
        source.unlink()
    except OSError:
        with suppress(OSError):
            target.unlink()
        raise


def _give_name(unfinished: Path, target: Path) -> None:
    """Rename a file, but never over another one.

    Raises:
        FileExistsError: if there is one.
    """
    try:
        os.link(unfinished, target)
    except FileExistsError:
        raise
    except OSError:  # no hard links: rename would replace what came in between
        if os.path.lexists(target):
            raise FileExistsError(errno.EEXIST, os.strerror(errno.EEXIST)) from None
        unfinished.rename(target)


_HOW: dict[Mode, Callable[[Entry, Path], None]] = {"move": _move, "copy": _copy, "link": _link}
