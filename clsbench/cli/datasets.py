"""``clsbench datasets``: the kinds of dataset; or one of them, described or written out."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from clsbench.cli import completion
from clsbench.cli.dataset_tables import counts_table, print_samples
from clsbench.cli.parameters import Json, Quiet, Seed, With
from clsbench.cli.split_parameters import Fold, Folds, Group, TestFraction, ValFraction
from clsbench.cli.training_parameters import Filter, HowResized, ModelName, Pad, Size
from clsbench.text import counted


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
    size: Size = None,
    resize: HowResized = None,
    pad: Pad = None,
    interpolation: Filter = None,
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
    group: Group = None,
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
            name, data, model=model, size=size, resize=resize, pad=pad, interpolation=interpolation, run=run,
            split=split, write=write, val_fraction=val_fraction,
            test_fraction=test_fraction, folds=folds, fold=fold, group=group, seed=seed,
            options=options or (), observer=observer,
        )  # fmt: skip
    if found.written is not None:
        terminal.print(
            f"written: {counted(found.written, 'image')} in {counted(len(found.classes), 'class folder')} below {write}"
        )
    else:
        terminal.print(counts_table(found.name, found.classes, found.counts))
        print_samples(terminal, found)
    terminal.write_json(found.to_json())
