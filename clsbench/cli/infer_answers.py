"""What ``clsbench infer`` prints of a few images: the class of each."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from clsbench.cli.evaluation_tables import GAP
from clsbench.cli.tables import percent, table
from clsbench.text import on_one_line, shortened_path

if TYPE_CHECKING:
    from rich.table import Table

    from clsbench.cli.terminal import Terminal
    from clsbench.inference.result import InferenceResult
    from clsbench.predictions.answers import Answer

#: Characters of an image's path at least, and of a column that is folded.
LEAST, FOLDED = 20, 32


def answers_table(result: InferenceResult, terminal: Terminal) -> Table:
    """A row for each image."""
    labelled = any(answer.label is not None for answer in result.answers)
    threshold = result.abstained is not None

    def row(answer: Answer) -> tuple[str, ...]:
        said = answer.best[0][0] if answer.best else f"not classified: {answer.error}"
        confidence = percent(answer.best[0][1]) if answer.best else ""
        others = ", ".join(f"{name} {percent(value)}" for name, value in answer.best[1:])
        return (on_one_line(answer.path), *([answer.label or "-"] if labelled else []), said, confidence,
                *(["yes" if answer.abstained else ""] if threshold else []), others)  # fmt: skip

    columns = (
        "image",
        *(["label"] if labelled else []),
        "class",
        "confidence",
        *(["abstained"] if threshold else []),
        "next best",
    )
    rows = [row(answer) for answer in result.answers]
    if terminal.limited:  # paths get what the other columns leave, of which long ones are folded
        taken = sum(min(FOLDED, max(map(len, cells))) + GAP for cells in list(zip(columns, *rows, strict=True))[1:])
        room = max(LEAST, terminal.out.width - taken - GAP)
        rows = [(shortened_path(path, room), *others) for path, *others in rows]
    made = table("Predictions", columns, rows, left=len(columns))
    made.columns[0].no_wrap = _fits_whole(rows, columns, terminal.out.width)  # then only the others are folded
    return made


def _fits_whole(rows: Sequence[Sequence[str]], columns: Sequence[str], width: int) -> bool:
    """Whether the paths fit beside the longest words of the other columns, in cells of the terminal."""
    from rich.cells import cell_len

    cells = list(zip(columns, *rows, strict=True))
    words = [max(cell_len(word) for cell in column for word in cell.split() or [""]) for column in cells[1:]]
    return max(map(cell_len, cells[0])) + sum(words) + GAP * len(columns) <= width
