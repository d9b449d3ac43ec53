"""``clsbench datasets``: the kinds of dataset; or one of them, described or written out."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from clsbench.cli.parameters import Fold, Folds, Json, Quiet, Seed, TestFraction, ValFraction, With
from clsbench.text import counted

if TYPE_CHECKING:
    from rich.table import Table


def datasets(
    name: Annotated[str | None, typer.Argument(metavar="NAME", help="The dataset to describe.")] = None,
    data: Annotated[Path | None, typer.Argument(metavar="DATA", help="Its folder or file, if it needs one.")] = None,
    run: Annotated[
        str | None, typer.Option(metavar="NAME", help="Describe the dataset of this run, split as it was.")
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
    """List the kinds of dataset, or count the classes and splits of one."""
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
            name, data, run=run, split=split, write=write, val_fraction=val_fraction, test_fraction=test_fraction,
            folds=folds, fold=fold, seed=seed, options=options or (), observer=observer,
        )  # fmt: skip
    if found.written is not None:
        terminal.print(
            f"written: {counted(found.written, 'image')} in {counted(len(found.classes), 'class folder')} below {write}"
        )
    else:
        terminal.print(counts_table(found.name, found.classes, found.counts))
    terminal.write_json(found.to_json())


def counts_table(title: str, classes: Sequence[str], counts: Mapping[str, Mapping[str, int]]) -> Table:
    """The images of each class and split, with their sums."""
    from clsbench.cli.tables import table

    splits = list(counts[classes[0]])
    rows = [(name, *(str(counts[name][split]) for split in splits)) for name in classes]
    rows.append(("all", *(str(sum(counts[name][split] for name in classes)) for split in splits)))
    return table(title, ("class", *splits), rows)
