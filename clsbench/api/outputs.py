"""Paths to be written, checked before there is work to lose."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path

from clsbench.errors import DataError, OptionError


def check_output(out: Path | None, option: str, suffix: str, inputs: Iterable[Path] = ()) -> None:
    """Refuse a path that would overwrite an input, or that cannot be a file of this kind.

    Raises:
        OptionError: for another suffix.
        DataError: if it is an input or a folder.
    """
    if out is None:
        return
    if out.is_dir():
        raise DataError("the output is a folder", where=option, got=out, expected=f"a {suffix} file")
    if out.suffix.lower() != suffix:
        raise OptionError(
            "the output has the wrong suffix", where=option, got=out, expected=f"a path ending in {suffix}"
        )
    if any(out.resolve() == file.resolve() for file in inputs):
        raise DataError("the output would overwrite an input", where=option, got=out, hint="choose another path")
