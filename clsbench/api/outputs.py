"""Paths to be written, checked before there is work to lose."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path

from clsbench.errors import DataError, OptionError
from clsbench.output_files import check_writable


def check_output(
    out: Path | None, option: str, suffix: str | None, inputs: Iterable[Path] = (), *, what: str = "the output"
) -> None:
    """Refuse a path that would overwrite an input, that cannot be a file of this kind, or that cannot be written.

    Args:
        out: The path; None where nothing is to be written.
        option: That named it.
        suffix: That it has to have; None where that is for others to say.
        inputs: Files that are read.
        what: The output, for messages.

    Raises:
        OptionError: for another suffix.
        DataError: if it is an input or a folder, or the system does not let it be written.
    """
    if out is None:
        return
    if out.is_dir():
        expected = f"a {suffix} file" if suffix else "a file"
        raise DataError("the output is a folder", where=option, got=out, expected=expected)
    if suffix and out.suffix.lower() != suffix:
        raise OptionError(
            "the output has the wrong suffix", where=option, got=out, expected=f"a path ending in {suffix}"
        )
    if any(out.resolve() == file.resolve() for file in inputs):
        raise DataError("the output would overwrite an input", where=option, got=out, hint="choose another path")
    check_writable(out, what)
