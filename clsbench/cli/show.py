"""``clsbench show``: images of a dataset or of a predictions file, or any with a model, drawn as a titled grid."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any, Literal

import typer

from clsbench.cli import completion
from clsbench.cli import split_parameters as splits
from clsbench.cli import training_parameters as given
from clsbench.cli.evaluation_parameters import Explain, ExplainBy, Images
from clsbench.cli.parameters import Device, Json, Quiet, Seed, With
from clsbench.text import counted


def show(
    data: given.Data = None,
    dataset: given.DatasetName = None,
    run: Annotated[
        str | None,
        typer.Option(
            metavar="NAME", help="Take images, split and augmentation of this run.", autocompletion=completion.runs
        ),
    ] = None,
    split: Annotated[Literal["train", "val", "test"], typer.Option(help="The split to draw.")] = "train",
    n: Annotated[
        int | None,
        typer.Option(
            "-n",
            min=1,
            max=400,
            metavar="N",
            help="Images to draw. Default: 8 of a dataset, 25 of predictions, 9 of DATA with --model.",
        ),
    ] = None,
    out: Annotated[Path, typer.Option(metavar="FILE.png", help="Where to write the grid.")] = Path("images.png"),
    pick: Annotated[
        str | None,
        typer.Option(metavar="HOW", help="Which predictions to draw: wrong, random, top-loss or class:NAME."),
    ] = None,
    images: Images = None,
    model: Annotated[
        Path | None,
        typer.Option(metavar="FILE|RUN", help="Title DATA, an image or a folder, with what this model says of it."),
    ] = None,
    explain: Explain = False,
    explain_by: ExplainBy = None,
    device: Device = "auto",
    plain: Annotated[
        bool, typer.Option("--plain", help="Images of a dataset with their classes, and no more.")
    ] = False,
    augment: Annotated[
        Literal["none", "basic", "rand", "trivial"],
        typer.Option(help="Augmentation of the images, with the choices of train."),
    ] = "basic",
    size: given.Size = None,
    resize: given.HowResized = None,
    pad: given.Pad = None,
    interpolation: given.Filter = None,
    val_fraction: splits.ValFraction = None,
    test_fraction: splits.TestFraction = None,
    folds: splits.Folds = None,
    fold: splits.Fold = None,
    group: splits.Group = None,
    seed: Seed = 0,
    options: With = None,
    json: Json = None,
    quiet: Quiet = False,
) -> None:
    """Draw images: of a dataset as the network sees them, of predictions, or with what a model says of them."""
    from clsbench.api.data import refuse_beside_run
    from clsbench.api.show import show as draw
    from clsbench.api.show_images import is_image, show_images
    from clsbench.api.show_predictions import is_predictions, show_predictions
    from clsbench.cli.dataset_tables import counts_shown
    from clsbench.cli.terminal import Terminal
    from clsbench.errors import DataError, OptionError

    terminal = Terminal(json=json, quiet=quiet)
    splits: dict[str, object] = {"val_fraction": val_fraction, "test_fraction": test_fraction, "group": group}
    splits |= {"folds": folds, "fold": fold}
    shape = {"size": size, "resize": resize, "pad": pad, "interpolation": interpolation}
    explained = explain_by or ("auto" if explain else None)
    shared: dict[str, Any] = {"model": model, "explain": explained, "out": out, "device": device, "seed": seed}
    if data is not None and (pick or images) and not Path(data).exists():
        raise DataError("no such file", where=data)
    predictions = data is not None and is_predictions(data)
    if not predictions and (pick or images):
        raise OptionError("--pick and --images are for predictions", got=data, expected="PREDS.csv, as infer writes it")
    if data is None and (model or explained):
        raise OptionError("a model needs images", where="--model" if model else "--explain", expected="DATA")
    if data is not None and (predictions or model or explained or is_image(data)):
        kind = "predictions" if predictions else "images"
        refuse_beside_run(data, kind, None, run=run, dataset=dataset, **splits, **shape, **{"with": options})
        with terminal.observer() as observer:
            shown = (
                show_predictions(data, images=images, pick=pick or "wrong", n=n or 25, **shared, observer=observer)
                if predictions
                else show_images(data, n=n or 9, **shared, observer=observer)
            )
        picked = f"({pick or 'wrong'}) " if predictions else ""
        by = f"; heatmaps by {shown.explained[0].title}" if shown.explained else ""
        drawn = f"drawn: {counted(len(shown.drawn), 'image')} {picked}in {out}{by}"
        terminal.print(drawn if shown.file else "no image is wrong: nothing drawn")
        terminal.write_json(shown.to_json())
        return
    with terminal.observer() as observer:
        found = draw(
            data, dataset=dataset, run=run, split=split, n=n or 8, out=out, augment=augment, plain=plain,
            seed=seed, options=options or (), observer=observer, **splits, **shape,  # type: ignore[arg-type]
        )  # fmt: skip
    terminal.print(counts_shown(found.name, found.classes, found.counts))
    terminal.print(f"drawn: {counted(len(found.drawn), 'image')} of {split} in {out}")
    terminal.write_json(found.to_json())
