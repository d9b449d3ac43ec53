"""The classes and counts of a dataset, and what its images are like, for people."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING

from clsbench.text import counted

if TYPE_CHECKING:
    from rich.table import Table

    from clsbench.api.datasets import DatasetSummary
    from clsbench.cli.terminal import Terminal

#: Classes of which `show` lists the images.
FEW_CLASSES = 20


def print_samples(terminal: Terminal, found: DatasetSummary) -> None:
    """What the images are like, and what the network gets of them."""
    from clsbench.cli.tables import table

    if (samples := found.samples) is None:
        return
    rows = [
        (what, f"{extent.min:,}", f"{extent.median:,.0f}", f"{extent.max:,}")
        for what, extent in (("width", samples.width), ("height", samples.height))
        if extent
    ]
    few = "" if samples.looked_at == samples.total else f", {samples.looked_at} of {samples.total:,} looked at"
    terminal.print(table(f"Images, in pixels{few}", ("", "min", "median", "max"), rows))
    facts = {"channels": samples.modes, "format": samples.formats, "unreadable": {"": samples.unreadable}}
    for what, counts in facts.items():
        if any(counts.values()):
            terminal.print(f"{what}: {', '.join(f'{name} {count:,}'.strip() for name, count in counts.items())}")
    if found.input:
        h, w, _ = found.input
        asked = "".join(f", {name} {value}" for name, value in found.shape.items())
        terminal.print(f"{found.model} gets: uint8 (N, {h}, {w}, 3){asked}")


def counts_table(title: str, classes: Sequence[str], counts: Mapping[str, Mapping[str, int]]) -> Table:
    """The images of each class and split, with their sums."""
    from clsbench.cli.tables import table

    splits = list(counts[classes[0]])
    rows = [(name, *(f"{counts[name][split]:,}" for split in splits)) for name in classes]
    rows.append(("all", *(f"{sum(counts[name][split] for name in classes):,}" for split in splits)))
    return table(title, ("class", *splits), rows)


def counts_shown(title: str, classes: Sequence[str], counts: Mapping[str, Mapping[str, int]]) -> Table | str:
    """The same, or one line where the table would push what was asked for off the screen."""
    if len(classes) <= FEW_CLASSES:
        return counts_table(title, classes, counts)
    sums = (f"{sum(counts[name][split] for name in classes):,} {split}" for split in counts[classes[0]])
    return f"{title}: {', '.join([counted(len(classes), 'class'), *sums])}"
