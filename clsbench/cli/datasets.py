"""``clsbench datasets``: the kinds of dataset; or one of them, described or written out."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from clsbench.cli.parameters import Fold, Folds, Json, Quiet, Seed, TestFraction, ValFraction, With

if TYPE_CHECKING:
    from rich.table import Table

    from clsbench.datasets.dataset import Dataset


def datasets(
    name: Annotated[str | None, typer.Argument(metavar="[NAME]", help="Describe this dataset.")] = None,
    data: Annotated[Path | None, typer.Argument(metavar="[DATA]", help="Its folder or file, if it needs one.")] = None,
    run: Annotated[str | None, typer.Option(metavar="NAME", help="The dataset of this run, split as it was.")] = None,
    split: Annotated[str, typer.Option(help="With --write: the split.")] = "test",
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
    from clsbench.errors import OptionError

    if name is None and run is None:
        if write:
            raise OptionError("which dataset is to be written?", where="--write", expected="NAME or --run")
        from clsbench.cli.listing import print_components

        print_components("dataset", json=json, quiet=quiet)
        return
    from clsbench.cli.composition import build_dataset, parse_with, rebuild_dataset, settled
    from clsbench.cli.terminal import Terminal
    from clsbench.runs import find

    terminal = Terminal(json=json, quiet=quiet)
    if run:
        settled(
            run, "NAME", name or data, val_fraction=val_fraction, test_fraction=test_fraction, folds=folds,
            fold=fold, **{"with": options},
        )  # fmt: skip
        pictures, _ = rebuild_dataset(find(run))
        name = run
    else:
        given = parse_with(options or (), ("data",))
        pictures, _, _ = build_dataset(
            name, data, given, seed=seed,
            val_fraction=val_fraction, test_fraction=test_fraction, folds=folds, fold=fold,
        )  # fmt: skip
    for note in pictures.notes:
        terminal.note(note)
    counts = count_classes(pictures)
    if write:
        from clsbench.datasets.write import write_class_folders

        written = write_class_folders(pictures, split, write)
        terminal.print(f"written: {written} images in {len(pictures.classes)} class folders below {write}")
    else:
        terminal.print(counts_table(str(name), pictures, counts))
    terminal.facts({"schema": 1, "name": name, "classes": list(pictures.classes), "counts": counts})


def count_classes(pictures: Dataset) -> dict[str, dict[str, int]]:
    """Class -> split -> number of images."""
    from collections import Counter

    found = {split: Counter(sample.label for sample in samples) for split, samples in pictures.splits.items()}
    return {name: {split: labels[k] for split, labels in found.items()} for k, name in enumerate(pictures.classes)}


def counts_table(title: str, pictures: Dataset, counts: dict[str, dict[str, int]]) -> Table:
    """The counts with their sums."""
    from clsbench.cli.terminal import table

    splits = list(pictures.splits)
    rows = [(name, *(str(counts[name][split]) for split in splits)) for name in pictures.classes]
    rows.append(("all", *(str(len(pictures.splits[split])) for split in splits)))
    return table(title, ("class", *splits), rows)
