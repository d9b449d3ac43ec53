"""``clsbench show``: images of a dataset or of a predictions file, drawn as a titled grid."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Literal

import typer

from clsbench.cli.parameters import (
    Data,
    DatasetName,
    Fold,
    Folds,
    Images,
    Json,
    Quiet,
    Seed,
    TestFraction,
    ValFraction,
    With,
)
from clsbench.text import counted


def show(
    data: Data = None,
    dataset: DatasetName = None,
    run: Annotated[
        str | None, typer.Option(metavar="NAME", help="Draw with the images, split and augmentation of this run.")
    ] = None,
    split: Annotated[Literal["train", "val", "test"], typer.Option(help="The split to draw.")] = "train",
    n: Annotated[
        int | None,
        typer.Option(
            "-n",
            min=1,
            max=400,
            metavar="N",
            help="Number of images to draw. Default: 8 of a dataset, 25 of predictions.",
        ),
    ] = None,
    out: Annotated[Path, typer.Option(metavar="FILE.png", help="Where to write the grid.")] = Path("images.png"),
    pick: Annotated[
        str | None,
        typer.Option(metavar="HOW", help="Which predictions to draw: wrong, random, top-loss or class:NAME."),
    ] = None,
    images: Images = None,
    augment: Annotated[
        Literal["none", "basic", "rand", "trivial"],
        typer.Option(help="Augmentation of the images, with the choices of train."),
    ] = "basic",
    size: Annotated[
        int, typer.Option(min=1, metavar="PIXELS", help="Side of the network's input in pixels; a run has its own.")
    ] = 224,
    val_fraction: ValFraction = None,
    test_fraction: TestFraction = None,
    folds: Folds = None,
    fold: Fold = None,
    seed: Seed = 0,
    options: With = None,
    json: Json = None,
    quiet: Quiet = False,
) -> None:
    """Draw images: of a dataset as the network gets to see them, or of a predictions file."""
    from clsbench.api.data import refuse_beside_run
    from clsbench.api.show import show as draw
    from clsbench.api.show_predictions import is_predictions, show_predictions
    from clsbench.cli.datasets import counts_table
    from clsbench.cli.terminal import Terminal
    from clsbench.errors import DataError, OptionError

    terminal = Terminal(json=json, quiet=quiet)
    splits = {"val_fraction": val_fraction, "test_fraction": test_fraction, "folds": folds, "fold": fold}
    if data is not None and (pick or images) and not data.exists():
        raise DataError("no such file", where=data)
    if data is not None and is_predictions(data):
        refuse_beside_run(str(data), "predictions", None, run=run, dataset=dataset, **splits, **{"with": options})
        with terminal.observer() as observer:
            drawn = show_predictions(
                data, images=images, pick=pick or "wrong", n=n or 25, out=out, seed=seed, observer=observer
            )
        count = counted(len(drawn.drawn), "image")
        terminal.print(f"drawn: {count} ({drawn.pick}) in {out}" if drawn.file else "no image is wrong: nothing drawn")
        terminal.write_json(drawn.to_json())
        return
    if pick or images:
        raise OptionError("--pick and --images are for predictions", got=data, expected="PREDS.csv, as infer writes it")
    with terminal.observer() as observer:
        found = draw(
            data, dataset=dataset, run=run, split=split, n=n or 8, out=out, augment=augment, size=size,
            val_fraction=val_fraction, test_fraction=test_fraction, folds=folds, fold=fold, seed=seed,
            options=options or (), observer=observer,
        )  # fmt: skip
    terminal.print(counts_table(found.name, found.classes, found.counts))
    terminal.print(f"drawn: {counted(len(found.drawn), 'image')} of {split} in {out}")
    terminal.write_json(found.to_json())
