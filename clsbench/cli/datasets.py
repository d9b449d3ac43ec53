"""``clsbench datasets``: the kinds of dataset; or one of them, described or written out."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from clsbench.cli import completion
from clsbench.cli.parameters import Json, Quiet, Seed, With
from clsbench.cli.training_parameters import Fold, Folds, ModelName, TestFraction, ValFraction
from clsbench.text import counted

if TYPE_CHECKING:
    from rich.table import Table

    from clsbench.api.datasets import DatasetSummary
    from clsbench.cli.terminal import Terminal

#: Classes of which `show` lists the images.
FEW_CLASSES = 20


def datasets(
    name: Annotated[
        str | None,
        typer.Argument(
            metavar="NAME", help="The dataset to describe, or just DATA.", autocompletion=completion.datasets
        ),
    ] = None,
    data: Annotated[
        str | None, typer.Argument(metavar="DATA", help="Its folder, file, archive or URL, if it needs one.")
    ] = None,
    model: ModelName = "simple-cnn",
    run: Annotated[
        str | None,
        typer.Option(
            metavar="NAME", help="Describe the dataset of this run, split as it was.", autocompletion=completion.runs
        ),
    ] = None,
    split: Annotated[str, typer.Option(metavar="NAME", help="The split that --write takes.")] = "test",
    write: Annotated[
        Path | None, typer.Option(metavar="DIR", help="Write a split's images into class folders.")
    ] = None,
    val_fraction: ValFraction = None,
    test_fraction: TestFraction = None,
    folds: Folds = None,
    fold: Fold = None,
    seed: Seed = 0,
    options: With = None,
    json: Json = None,
    quiet: Quiet = False,
) -> None:
    """List the kinds of dataset; or count the classes and splits of one, and say what its images are like."""
    from clsbench.api.datasets import describe_dataset
    from clsbench.cli.plugins import print_components
    from clsbench.cli.terminal import Terminal
    from clsbench.errors import OptionError

    if name is None and run is None:
        if write:
            raise OptionError("which dataset is to be written?", where="--write", expected="NAME or --run")
        print_components("dataset", json=json, quiet=quiet)
        return
    terminal = Terminal(json=json, quiet=quiet)
    with terminal.observer() as observer:
        found = describe_dataset(
            name, data, model=model, run=run, split=split, write=write, val_fraction=val_fraction,
            test_fraction=test_fraction, folds=folds, fold=fold, seed=seed, options=options or (), observer=observer,
        )  # fmt: skip
    if found.written is not None:
        terminal.print(
            f"written: {counted(found.written, 'image')} in {counted(len(found.classes), 'class folder')} below {write}"
        )
    else:
        terminal.print(counts_table(found.name, found.classes, found.counts))
        _print_samples(terminal, found)
    terminal.write_json(found.to_json())


def _print_samples(terminal: Terminal, found: DatasetSummary) -> None:
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
        terminal.print(f"{found.model} gets: uint8 (N, {h}, {w}, 3)")


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
