"""Run directories: create, find the latest, read, write.

runs/<name>/
  run.json            the resolved configuration and the result: enough to repeat the run
  log.csv             one line an epoch
  best.safetensors    the weights of the best epoch by validation accuracy
  last.safetensors    the weights of the last epoch
  curves.png          losses, accuracies and the learning rate by epoch
  confusion.png, reliability.png   the best weights on the validation split
  model.onnx          written by `clsbench export`
runs/latest           a link to the newest run
"""

from __future__ import annotations

import itertools
import json
import math
import os
import re
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Any

from clsbench.errors import ModelError, OptionError

ROOT = Path("runs")
LATEST = "latest"


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

    def write(self, config: dict[str, Any]) -> None:
        """Replace run.json as a whole, so that a reader never meets half of it."""
        write_json(self.path / "run.json", config)

    def read(self) -> dict[str, Any]:
        """The content of run.json.

        Raises:
            ModelError: if it is missing or not JSON.
        """
        file = self.path / "run.json"
        try:
            config = json.loads(file.read_text(encoding="utf-8"))
        except (OSError, ValueError) as error:
            raise ModelError("a run directory cannot be read", where=file, got=error) from None
        if not isinstance(config, dict):
            raise ModelError("a run directory cannot be read", where=file, expected="a JSON object")
        return config


def create(name: str | None, *, default: str, root: Path = ROOT) -> Run:
    """Make a new run directory and point ``latest`` at it.

    Args:
        name: As the user named it, or None for ``<time>-<default>``.
        default: The descriptive part of a generated name.
        root: The directory of all runs.

    Raises:
        OptionError: if the name is taken (nothing is overwritten) or not a plain name.
    """
    chosen = name or _free_name(f"{datetime.now():%Y%m%d-%H%M%S}-{re.sub(r'[^A-Za-z0-9._-]+', '-', default)}", root)
    check_name(chosen, root=root)
    path = root / chosen
    path.mkdir(parents=True)
    latest = root / LATEST
    if latest.is_symlink() or not latest.exists():
        latest.unlink(missing_ok=True)
        latest.symlink_to(chosen, target_is_directory=True)
    return Run(path)


def check_name(name: str | None, *, root: Path = ROOT) -> None:
    """Refuse a name for a new run before there is work to lose.

    Raises:
        OptionError: if it is taken or not a plain name.
    """
    if name is None:
        return
    if name in ("", ".", "..", LATEST) or "/" in name or os.sep in name:
        raise OptionError("a run needs a plain name", where="--run", got=name)
    if (root / name).exists():
        raise OptionError(
            "there is a run of that name already, and nothing is overwritten",
            where=root / name,
            hint="choose another --run NAME, or remove the directory",
        )


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
    candidates = [root / LATEST] if name is None else [Path(name), root / name]
    for path in candidates:
        if (path / "run.json").is_file():
            return Run(path.resolve() if path.is_symlink() else path)
    known = sorted(p.parent.name for p in root.glob("*/run.json") if not p.parent.is_symlink())
    raise ModelError(
        "there is no run yet" if name is None else f"there is no run '{name}'",
        where=root / LATEST if name is None else root,
        expected=f"one of {', '.join(known[-5:])}" if known and name else None,
        hint="`clsbench train` makes one",
    )


def latest_onnx(*, root: Path = ROOT) -> Path:
    """The most recently exported model under ``root``.

    Raises:
        ModelError: if no run has been exported.
    """
    files = [file for file in root.glob("*/*.onnx") if not file.parent.is_symlink()]
    if not files:
        raise ModelError(
            "there is no exported model yet",
            where=root,
            hint="`clsbench export --onnx` makes one, or name a file with --model",
        )
    return max(files, key=lambda file: file.stat().st_mtime)


def write_json(path: Path, values: Any) -> None:
    """Write JSON so that the file is always whole."""
    partial = path.with_name(path.name + ".partial")
    partial.write_text(dumps(values), encoding="utf-8")
    partial.replace(path)


def dumps(values: Any) -> str:
    """Readable JSON. Bytes of a file name that are no UTF-8 become escapes, which JSON allows."""
    form: dict[str, Any] = {"indent": 2, "ensure_ascii": False, "default": str}
    try:
        text = json.dumps(values, allow_nan=False, **form)
    except ValueError:
        json.dumps(values, **form)  # raises again for what is no JSON for another reason
        text = json.dumps(_finite(values), **form)
    text += "\n"
    return text.encode("utf-8", "backslashreplace").decode("utf-8")


def _finite(values: Any) -> Any:
    """The same with null for what JSON has no number for."""
    if isinstance(values, dict):
        return {key: _finite(value) for key, value in values.items()}
    if isinstance(values, list | tuple):
        return [_finite(value) for value in values]
    return None if isinstance(values, float) and not math.isfinite(values) else values
