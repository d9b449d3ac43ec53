"""What ``adopt --check`` prints: candidate transforms, the best first, in 80 columns."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from clsbench.adopting.candidates import options_of
from clsbench.cli.tables import first_rows, percent, table
from clsbench.text import counted

if TYPE_CHECKING:
    from pathlib import Path

    from rich.table import Table

    from clsbench.adopting.transform_check import CheckedCandidate, TransformCheck
    from clsbench.cli.terminal import Terminal

#: Rows of each table at most; the JSON has all.
SHOWN = 6


def print_check(terminal: Terminal, check: TransformCheck, file: Path, *others: str) -> None:
    """Print what was found for a model file, and the command that adopts it so, with what else it was given."""
    for made in check_tables(check):
        terminal.print(made)
    terminal.print(check.verdict)
    if any(found.difference.high < 0 for found in check.equal):
        count = len(check.candidates)
        terminal.note(f"each interval is of one pair, at 95%; what is shown to be worse allows for {count} candidates")
    if check.unreadable:
        terminal.note(f"{counted(check.unreadable, 'image')} could not be read")
    terminal.next("adopt", file, *others, *options_of(check.best.transform), why="adopts it with the first of these")


def check_tables(check: TransformCheck) -> list[Table]:
    """The best and its equals; then, of those that are shown to be worse, the best of each normalisation."""
    kind = "labelled image" if check.labelled else "image"
    on = f"on {counted(check.images, kind)}" + (f" of {check.available:,}" if check.available > check.images else "")
    best = (check.best, *check.equal)
    worse = _one_each([found for found in check.candidates if not found.best_or_equal])
    seen = [f"{count:,}" for count in sorted({found.images for found in worse})]
    after = f"{' to '.join(dict.fromkeys((seen[0], seen[-1])))} of them, the best of each mean and std" if seen else ""
    titles = (f"Best {on}, and not shown to be worse", f"Shown to be worse on {after}")
    if not check.labelled:
        titles = (f"Surest {on}: only a hint", f"Less sure on {after}")
    return [
        table(first_rows(title, SHOWN, len(found), None), _columns(check.labelled), map(_row, found[:SHOWN]))
        for title, found in zip(titles, (best, worse), strict=True)
        if found
    ]


def _one_each(candidates: Sequence[CheckedCandidate]) -> list[CheckedCandidate]:
    """The first of each mean, std and order of channels."""
    found: dict[object, CheckedCandidate] = {}
    for candidate in candidates:
        transform = candidate.transform
        found.setdefault((transform.mean, transform.std, transform.color), candidate)
    return list(found.values())


def _columns(labelled: bool) -> Sequence[str]:
    return ("transform", "accuracy", "points vs best", "log loss") if labelled else (
        "transform", "confidence", "points vs best", "entropy"
    )  # fmt: skip


def _row(found: CheckedCandidate) -> Sequence[str]:
    difference = found.difference
    ends = f"{100 * difference.low:z.1f} to {100 * difference.high:z.1f}" if difference.low < difference.high else ""
    shown = found.mean_confidence if found.accuracy is None else found.accuracy.value
    return found.name, percent(shown), ends, f"{found.mean_entropy if found.log_loss is None else found.log_loss:.3f}"
