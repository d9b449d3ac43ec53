"""The precisions that ``export`` writes, and where their files lie."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Literal

from clsbench.api.arguments import check_choice
from clsbench.api.observer import Observer

#: Precisions of a file, and what its card calls them.
Precision = Literal["fp32", "fp16", "int8"]
PRECISIONS: dict[Precision, str] = {"fp32": "float32", "fp16": "float16", "int8": "int8"}


def precisions(wanted: str | Sequence[str]) -> tuple[Precision, ...]:
    """What a text such as ``fp32,int8`` or a list names, float32 first.

    Raises:
        OptionError: if a word is unknown, or there is none.

    >>> precisions("int8,fp32")
    ('fp32', 'int8')
    """
    words = [word.strip() for word in wanted.split(",")] if isinstance(wanted, str) else list(wanted)
    for word in words or [""]:
        check_choice("precision", word, tuple(PRECISIONS))
    return tuple(one for one in PRECISIONS if one in words)


def beside(file: Path, precision: Precision) -> Path:
    """Where a file of a precision lies by default, beside the float32 one.

    >>> beside(Path("runs/cats/model.onnx"), "int8").name
    'model.int8.onnx'
    """
    return file if precision == "fp32" else file.with_name(f"{file.stem}.{precision}.onnx")


def note_outdated(parent: Path, wanted: Sequence[Precision], observer: Observer) -> None:
    """Say which files beside a float32 one were made of another one, and are not made again now."""
    from clsbench.model_file import model_hash, read_card

    for precision in PRECISIONS:
        file = beside(parent, precision)
        if precision in wanted or file == parent or not file.is_file():
            continue
        if read_card(file).parent not in (None, model_hash(parent)):
            observer.warn(f"{file} was made of an earlier float32 file: make it again with --precision {precision}")
