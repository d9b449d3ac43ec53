"""Run directories: create, find the latest, read and write their record.

runs/<name>/
  run.json            the resolved configuration and the result: enough to repeat the run; while it trains,
                      the result so far, so that a run that was killed can be exported
  log.csv             one line an epoch
  best.safetensors    the weights of the best epoch by validation accuracy
  last.safetensors    the weights of the last epoch
  state.safetensors   while it trains, or after it was killed: what `clsbench train --resume` goes on from
  curves.png          losses, accuracies and the learning rate by epoch
  confusion.png, reliability.png   the best weights on the validation split
  model.onnx          written by `clsbench export`, in float32
  model.int8.onnx, model.fp16.onnx   the same network in fewer bits, by `export --precision`
runs/latest           a link to the newest run
"""

from __future__ import annotations

import itertools
import os
import re
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path

from clsbench.best_weights import with_best
from clsbench.errors import ModelError, OptionError
from clsbench.json_fields import Scalar, parse_object, write_json
from clsbench.output_files import make_folder
from clsbench.run_record import RunRecord
from clsbench.text import command, some

ROOT = Path("runs")
LATEST = "latest"

#: The longest name of a directory, in bytes, on every common file system.
LONGEST_NAME = 255


def plain(options: Mapping[str, object]) -> dict[str, Scalar]:
    """Options as a record holds them: a path, or any other value that JSON does not have, as text."""
    return {k: v if isinstance(v, str | int | float | bool | None) else str(v) for k, v in options.items()}


@dataclass(frozen=True)
class Run:
    """One run directory."""

    path: Path

    @property
    def name(self) -> str:
        """The directory's name."""
        return self.path.name

    @property
    def best(self) -> Path:
        """Weights of the best epoch."""
        return self.path / "best.safetensors"

    @property
    def last(self) -> Path:
        """Weights of the last epoch."""
        return self.path / "last.safetensors"

    @property
    def state(self) -> Path:
        """The state of a training that has not ended."""
        return self.path / "state.safetensors"

    @property
    def log(self) -> Path:
        """One line an epoch, CSV."""
        return self.path / "log.csv"

    @property
    def curves(self) -> Path:
        """Loss and accuracy by epoch, PNG."""
        return self.path / "curves.png"

    @property
    def confusion(self) -> Path:
        """Confusion of the best weights on the validation split, PNG."""
        return self.path / "confusion.png"

    @property
    def reliability(self) -> Path:
        """Reliability of their confidences there, PNG."""
        return self.path / "reliability.png"

    @property
    def onnx(self) -> Path:
        """Where export writes by default."""
        return self.path / "model.onnx"

    @property
    def reduced(self) -> list[Path]:
        """Files of the same network in fewer bits, those that are there."""
        return [file for bits in ("int8", "fp16") if (file := self.path / f"model.{bits}.onnx").is_file()]

    @property
    def record(self) -> Path:
        """The run's record, JSON."""
        return self.path / "run.json"

    @property
    def files(self) -> list[Path]:
        """The files that training and export write here, whether they are there or not."""
        drawn = (self.curves, self.confusion, self.reliability)
        return [self.record, self.best, self.last, self.state, self.log, self.onnx, *drawn]

    def leftovers(self) -> list[Path]:
        """Files that were being written when the run was killed; nothing reads them."""
        return sorted(self.path.glob("*.partial"))

    def write_record(self, record: RunRecord) -> None:
        """Replace run.json as a whole, so that a reader never meets half of it."""
        write_json(self.record, record.to_json(), what="the run's record")

    def read_record(self) -> RunRecord:
        """The content of run.json; of a run that was killed, its result is that of the weights beside it.

        Raises:
            ModelError: if it is missing, damaged or of another program; names the file and the field.
        """
        try:
            text = self.record.read_bytes()
        except OSError as error:
            raise ModelError("a run cannot be read", where=self.record, got=error.strerror) from None
        record = RunRecord.from_json(parse_object(text, what="a run", where=self.record), where=self.record)
        return with_best(record, self.best)


def create(name: str | None, *, default: str, root: Path = ROOT) -> Run:
    """Make a new run directory and point ``latest`` at it.

    Args:
        name: As the user named it, or None for ``<time>-<default>``.
        default: The descriptive part of a generated name.
        root: The directory of all runs.

    Raises:
        OptionError: if the name is taken or not a plain name. DataError: if the directory cannot be made.
    """
    chosen = name or _free_name(f"{datetime.now():%Y%m%d-%H%M%S}-{re.sub(r'[^A-Za-z0-9._-]+', '-', default)}", root)
    check_name(chosen, root=root)
    with suppress(OSError):  # what was killed before it wrote anything; the system removes no folder with content
        (root / chosen).rmdir()
    make_folder(root / chosen, "the run")
    latest = root / LATEST
    with suppress(OSError):  # not every file system has links
        if latest.is_symlink() or not latest.exists():
            latest.unlink(missing_ok=True)
            latest.symlink_to(chosen, target_is_directory=True)
    return Run(root / chosen)


def check_name(name: str | None, *, root: Path = ROOT) -> None:
    """Refuse a name for a new run before there is work to lose; an empty directory of that name does not matter.

    Raises:
        OptionError: if it is taken or not a plain name.
    """
    if name is None:
        return
    if name in ("", ".", "..", LATEST) or name.startswith("-") or {"/", os.sep} & set(name) or not name.isprintable():
        expected = "no /, no - at its beginning, and not `latest`"
        raise OptionError("a run needs a plain name", where="--run", got=name, expected=expected)
    if (size := len(os.fsencode(name))) > LONGEST_NAME:
        raise OptionError(
            "the run's name is too long",
            where="--run", got=f"{name[:20]}… ({size} bytes)", expected=f"at most {LONGEST_NAME} bytes",
        )  # fmt: skip
    if (root / name).exists() and not _is_empty(root / name):
        raise OptionError(
            "a run of that name exists already, and nothing is overwritten",
            where=root / name,
            hint="choose another --run NAME, or remove the directory",
        )


def _is_empty(path: Path) -> bool:
    """Whether it is a directory of its own without content."""
    return path.is_dir() and not path.is_symlink() and not any(path.iterdir())


def everything(*, root: Path = ROOT) -> list[Run]:
    """Every run below ``root``, oldest first."""
    files = [file for file in root.glob("*/run.json") if not file.parent.is_symlink()]
    return [Run(file.parent) for file in sorted(files, key=lambda file: (file.stat().st_mtime, file))]


def _free_name(wanted: str, root: Path) -> str:
    """The name, with a number where a run of the same second has it."""
    numbered = (f"{wanted}-{number}" for number in itertools.count(2))
    return next(name for name in itertools.chain([wanted], numbered) if not (root / name).exists())


def find(name: str | None, *, root: Path = ROOT) -> Run:
    """The run a user means: a directory, a name under ``root``, or the latest.

    Raises:
        ModelError: if there is none.
    """
    for path in (root / LATEST,) if name is None else (Path(name), root / name):
        if (path / "run.json").is_file():
            return Run(path.parent / os.readlink(path) if path.is_symlink() else path)
    known = everything(root=root)
    if name is None and known:  # not every file system has links
        return known[-1]
    names = [run.name for run in reversed(known)]
    raise ModelError(
        "there is no run yet" if name is None else f"there is no run '{name}'",
        where=root / LATEST if name is None else root,
        expected=f"one of {some(names)}" if names else None,
        hint="`clsbench train` makes one",
    )


def is_run(name: str | Path, *, root: Path = ROOT) -> bool:
    """Whether this is the directory of a run, or a name under ``root``."""
    return any((folder / "run.json").is_file() for folder in (Path(name), root / name))


def find_onnx(model: str | Path | None, *, root: Path = ROOT) -> Path:
    """The model file a user means: a file, the export of a run, or the latest export; of a run the float32 one.

    Raises:
        ModelError: if the run has not been exported, or nothing has; a file need not exist.
    """
    if model is None:
        return latest_onnx(root=root)
    if Path(model).is_file() or not is_run(model, root=root):
        return Path(model)
    run = find(str(model), root=root)
    for file in (run.onnx, *run.reduced):
        if file.is_file():
            return file
    raise ModelError("the run has not been exported yet", where=run.path, hint=command("export", run.path))


def latest_onnx(*, root: Path = ROOT) -> Path:
    """The most recently exported model under ``root``.

    Raises:
        ModelError: if no run has been exported.
    """
    if not (files := [file for file in root.glob("*/*.onnx") if not file.parent.is_symlink()]):
        raise ModelError(
            "there is no exported model yet",
            where=root,
            hint=f"{_first_model(root)}, or name a file with --model",
        )
    latest = max(files, key=lambda file: file.stat().st_mtime)
    run = Run(latest.parent)
    return run.onnx if latest in run.reduced and run.onnx.is_file() else latest


def _first_model(root: Path) -> str:
    """What makes a model where there is none: the commands that are still to be typed."""
    if everything(root=root):
        return "`clsbench export` makes one of the latest run"
    return "`clsbench train FOLDER`, then `clsbench export`, make one"
