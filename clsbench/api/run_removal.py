"""``runs rm``: delete run directories, and nothing else.

What is deleted is looked at first: a directory whose run.json is that of a run of ours, no link, in which nothing
trains and which holds nothing but what clsbench writes there. Links inside are removed as links; what they name stays.
"""

from __future__ import annotations

import os
import re
import shutil
import stat
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, suppress
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from clsbench.api.observer import Observer
from clsbench.api.outputs import Outputs
from clsbench.errors import DataError, ModelError, OptionError
from clsbench.output_lock import exclusive
from clsbench.runs import LATEST, ROOT, Run, everything, find
from clsbench.text import counted, some

#: Seconds since its last sign of life in which a run that says it trains is believed: another machine may hold it.
RECENT = 3600.0

#: Names in a run directory that are clsbench's, beside :attr:`clsbench.runs.Run.files`: models, predictions of
#: ``evaluate`` with what belongs to them, records of trackers, locks and unfinished files.
OURS = re.compile(
    r"model(\.\w+)?\.onnx|(test|val)\.(csv|jsonl|parquet)(\.json|\.ledger)?|report\.html|.*\.safetensors|state.*\.json"
    r"|tensorboard|tracking\.json|mlflow\.db(-\w+)?|mlruns|wandb|lr-finder\.png|\..*\.lock|.*\.partial"
)


@dataclass(frozen=True, kw_only=True)
class RemovableRun:
    """A run that can be deleted.

    Args:
        run: Its name.
        path: Its directory.
        files: How many files it has.
        bytes: Their sizes together; what links name is not counted.
        others: Files and folders in it that clsbench has not written.
    """

    run: str
    path: str
    files: int
    bytes: int
    others: tuple[str, ...] = ()


@dataclass(frozen=True)
class RunRemoval:
    """What was deleted, or would be.

    Args:
        runs: In the order asked for.
        removed: Whether they are gone.
        latest: The run that ``latest`` names now; None where there is none.
    """

    runs: tuple[RemovableRun, ...]
    removed: bool
    latest: str | None = None

    @property
    def bytes(self) -> int:
        """Of all of them."""
        return sum(run.bytes for run in self.runs)

    def to_json(self) -> dict[str, Any]:
        """Plain values."""
        return {"schema": 1, "runs": [asdict(run) for run in self.runs], "removed": self.removed, "latest": self.latest}


def remove_runs(
    *runs: str | Path,
    force: bool = False,
    confirmed: bool | Callable[[RunRemoval], bool] = True,
    observer: Observer | None = None,
) -> RunRemoval:
    """Delete run directories; ``latest`` names the newest that is left.

    Args:
        runs: Names or directories. All are looked at before the first is deleted.
        force: Also delete files that clsbench has not written, and a run that says it trains but has no lock.
        confirmed: Whether to delete, or what is asked with everything known; False only looks.
        observer: Whose outputs must not lie in a run that is deleted.

    Raises:
        OptionError: for none, or the same one twice.
        ModelError: if one is no run of ours.
        DataError: if one trains, holds files of others, is a link, or cannot be deleted.
    """
    if not runs:
        raise OptionError("which runs are to be deleted?", expected="RUN...")
    found = [_checked(str(name)) for name in runs]
    if len({run.path.resolve() for run in found}) < len(found):
        raise OptionError("a run is named twice", got=", ".join(str(run) for run in runs))
    outputs = Outputs(observer or Observer())
    looked = RunRemoval(tuple(_looked_at(run) for run in found), removed=False)
    for run, what in zip(found, looked.runs, strict=True):
        outputs.refuse(*_files(run.path))
        with _idle(run, force=force):
            _refuse_others(run, what, force=force)
    if not (confirmed(looked) if callable(confirmed) else confirmed):
        return looked
    for run in found:
        with _idle(run, force=force):  # it may have been taken up again while a person thought about it
            _delete(run)
    latest = {parent: _mend_latest(parent) for parent in dict.fromkeys(run.path.parent for run in found)}
    return RunRemoval(looked.runs, removed=True, latest=next(iter(latest.values())))


def _checked(name: str) -> Run:
    """A run of ours, which is a directory and no link; ``latest`` stands for the run that it names."""
    for path in (Path(name), ROOT / name):
        plain = path.is_symlink() and path.name == LATEST and os.path.basename(target := os.readlink(path)) == target
        if path.is_symlink() and not plain:
            raise DataError(
                "this is a link, and what it names is not deleted through it", where=path, got=os.readlink(path),
                hint="name the run's directory itself",
            )  # fmt: skip
    run = find(name)
    if run.path.name in ("", ".", ".."):
        raise DataError("the current folder is not deleted", where=name, expected="the name of a run")
    if run.record.is_symlink():
        raise ModelError("this is no run of clsbench: its run.json is a link", where=run.record)
    run.read_record()
    return run


def _looked_at(run: Run) -> RemovableRun:
    sizes = [status.st_size for file in _files(run.path) if stat.S_ISREG((status := file.lstat()).st_mode)]
    own = {file.name for file in run.files}
    others = sorted(e.name for e in os.scandir(run.path) if e.name not in own and not OURS.fullmatch(e.name))
    return RemovableRun(
        run=run.name, path=str(run.path), files=len(sizes), bytes=sum(sizes), others=tuple(others)
    )  # fmt: skip


def _files(folder: Path) -> Iterator[Path]:
    """Everything below a folder that is no folder; links are not followed."""
    for parent, _, names in os.walk(folder):
        yield from (Path(parent, name) for name in names)


def _refuse_others(run: Run, what: RemovableRun, *, force: bool) -> None:
    if what.others and not force:
        raise DataError(
            f"the run holds {counted(len(what.others), 'file')} that clsbench has not written", where=run.path,
            got=some(what.others), hint="move what you need, or delete all with --force",
        )  # fmt: skip


def _idle(run: Run, *, force: bool) -> ExitStack:
    """The locks of a run, held; one that trains is refused."""
    stack = ExitStack()
    try:
        for file in (run.state, run.record):
            stack.enter_context(exclusive(file, "the run"))
    except DataError as error:
        stack.close()
        raise DataError("the run is in use", where=run.path, got=error.facts.get("got")) from None
    seen = max((file.lstat().st_mtime for file in (run.record, run.log) if file.exists()), default=0.0)
    if run.read_record().status == "running" and time.time() - seen < RECENT and not force:
        stack.close()
        raise DataError(
            "the run may still be training", where=run.path,
            got=f"its status is `running`, and it last wrote {counted(round((time.time() - seen) / 60), 'minute')} ago",
            hint="end it first, or use --force where it was killed",
        )  # fmt: skip
    return stack


def _delete(run: Run) -> None:
    """Delete everything; run.json last, so that what an interruption leaves is still a run, and can be named again."""
    try:
        for entry in sorted(os.scandir(run.path), key=lambda entry: entry.name == run.record.name):
            if entry.is_dir(follow_symlinks=False):
                shutil.rmtree(entry.path)
            else:
                os.unlink(entry.path)
        run.path.rmdir()
    except OSError as error:
        raise DataError("the run cannot be deleted", where=error.filename or run.path, got=error.strerror) from None


def _mend_latest(root: Path) -> str | None:
    """Point ``latest`` at the newest run that is left, where the one it named has gone; returns its name."""
    link, left = root / LATEST, everything(root=root)
    if link.is_symlink() and not link.exists():
        with suppress(OSError):
            link.unlink()
            if left:
                link.symlink_to(left[-1].name, target_is_directory=True)
    return left[-1].name if left else None
