"""What ``evaluate``, ``report``, ``compare`` and ``show`` share: reading predictions files."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

if TYPE_CHECKING:
    from clsbench.cli.terminal import Terminal
    from clsbench.evaluation.judging import Evaluation
    from clsbench.predictions.table import PredictionTable

LabelsFile = Annotated[
    Path | None, typer.Option("--labels", metavar="FILE.csv", help="Labels (path,label) instead of the file's.")
]
Columns = Annotated[
    str | None,
    typer.Option("--columns", metavar="OURS=THEIRS,…", help="A foreign file's columns: path=file,predicted=pred."),
]
Images = Annotated[
    Path | None, typer.Option("--images", metavar="ROOT", help="The folder that the paths are relative to.")
]
MinCount = Annotated[int, typer.Option(min=1, help="Confused pairs that occur at least so often.")]
Metrics = Annotated[list[str] | None, typer.Option("--metric", help="A plugin's metric beside our own.")]


def parse_columns(text: str | None) -> dict[str, str]:
    """``path=file,predicted=pred`` as a dict.

    Raises:
        OptionError: if it is not of that form.
    """
    from clsbench.errors import OptionError

    pairs = [pair.partition("=") for pair in (text or "").split(",") if pair]
    if any(not (ours and equals and theirs) for ours, equals, theirs in pairs):
        raise OptionError(
            "cannot read the columns", where="--columns", got=text, expected="for example path=file,predicted=pred"
        )
    return {ours.strip(): theirs.strip() for ours, _, theirs in pairs}


@contextmanager
def open_table(
    terminal: Terminal, file: Path, *, columns: str | None = None, labels: Path | None = None
) -> Iterator[PredictionTable]:
    """A predictions file in memory, with its notes told."""
    from clsbench.predictions.reading import read_predictions

    mapped = parse_columns(columns)
    with terminal.status(f"reading {file}"):
        context = read_predictions(file, columns=mapped, labels=labels)
        table = context.__enter__()
    try:
        for note in table.notes:
            terminal.note(note)
        yield table
    finally:
        context.__exit__(None, None, None)


def judge(
    terminal: Terminal, table: PredictionTable, metrics: Sequence[str] | None, *, min_count: int, options: Any
) -> Evaluation:
    """All metrics of a table."""
    from clsbench.cli.composition import build_metrics
    from clsbench.evaluation import judging
    from clsbench.options import parse_with

    given = parse_with(options or (), ("metric",))
    built = build_metrics("evaluate", metrics or (), given, confusion={"min_count": min_count})
    with terminal.status("evaluating"):
        evaluation = judging.judge(table, built)
    for name, reason in evaluation.errors.items():
        terminal.warn(f"metric {name} failed: {reason}")
    return evaluation


def check_output(out: Path | None, flag: str, suffix: str, inputs: Sequence[Path]) -> None:
    """Refuse a path that would overwrite an input, or that cannot be written, before the work.

    Raises:
        OptionError: for another suffix.
        DataError: if it is an input or a folder.
    """
    from clsbench.errors import DataError, OptionError

    if out is None:
        return
    if out.is_dir():
        raise DataError("this path is taken", where=out, got="a folder")
    if out.suffix.lower() != suffix:
        raise OptionError("another kind of file is written here", where=flag, got=out, expected=f"a path in {suffix}")
    if any(out.resolve() == file.resolve() for file in inputs):
        raise DataError("this path is taken", where=out, got="an input")
