"""``clsbench datasets``: the kinds of dataset; or one of them, described or written out."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from clsbench.cli.parameters import Json, Quiet, Seed, ValFraction, With


def datasets(
    name: Annotated[str | None, typer.Argument(metavar="[NAME]", help="Describe this dataset.")] = None,
    data: Annotated[Path | None, typer.Argument(metavar="[DATA]", help="Its folder, if it needs one.")] = None,
    split: Annotated[str, typer.Option(help="With --write: the split.")] = "test",
    write: Annotated[
        Path | None, typer.Option(metavar="DIR", help="Write a split's pictures into class folders.")
    ] = None,
    val_fraction: ValFraction = 0.2,
    seed: Seed = 0,
    options: With = None,
    json: Json = None,
    quiet: Quiet = False,
) -> None:
    """List the kinds of dataset, or count the classes and splits of one."""
    if name is None:
        from clsbench.cli.listing import print_components

        print_components("dataset", json=json, quiet=quiet)
        return
    from clsbench.cli.composition import build_dataset
    from clsbench.cli.terminal import Terminal, table
    from clsbench.options import parse_with

    terminal = Terminal(json=json, quiet=quiet)
    given = parse_with(options or (), ("data",))
    pictures, _, _ = build_dataset(name, data, given, val_fraction=val_fraction, seed=seed)
    for note in pictures.notes:
        terminal.note(note)
    splits = list(pictures.splits)
    counts = {
        cls: {s: sum(sample.label == k for sample in pictures.splits[s]) for s in splits}
        for k, cls in enumerate(pictures.classes)
    }
    if write:
        from clsbench.datasets.write import write_class_folders

        written = write_class_folders(pictures, split, write)
        terminal.print(f"written: {written} pictures in {len(pictures.classes)} class folders below {write}")
    else:
        rows = [(cls, *(str(counts[cls][s]) for s in splits)) for cls in pictures.classes]
        rows.append(("all", *(str(len(pictures.splits[s])) for s in splits)))
        terminal.print(table(name, ("class", *splits), rows))
    terminal.facts({"schema": 1, "name": name, "classes": list(pictures.classes), "counts": counts})
