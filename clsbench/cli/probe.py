"""``clsbench probe``: which backbone is worth training on these images?"""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from clsbench.cli.parameters import DATA, MODEL, OUTPUT, Json, Quiet, With
from clsbench.cli.split_parameters import Group, TestFraction
from clsbench.cli.training_parameters import Data, DatasetName, Size

if TYPE_CHECKING:
    pass


def probe(
    data: Data = None,
    dataset: DatasetName = None,
    test_fraction: TestFraction = None,
    data_fraction: Annotated[
        float | None,
        typer.Option(
            metavar="FRACTION", help="Part of each class to use, for a quick look. Default: 1.", rich_help_panel=DATA
        ),
    ] = None,
    group: Group = None,
    folds: Annotated[
        int,
        typer.Option(
            min=2,
            metavar="K",
            help="Folds of train and val together; each is held out once. A test split is not used.",
            rich_help_panel=DATA,
        ),
    ] = 5,
    seed: Annotated[
        int,
        typer.Option(min=0, metavar="N", help="Random seed for folds, views and random weights.", rich_help_panel=DATA),
    ] = 0,
    models: Annotated[
        str,
        typer.Option(
            metavar="NAME,…",
            help="Models or runs to compare, with options after colons: resnet18,resnet18:pretrained=false,runs/x. "
            "Published weights are taken unless an option says otherwise.",
            rich_help_panel=MODEL,
        ),
    ] = ...,  # type: ignore[assignment]
    views: Annotated[
        int,
        typer.Option(
            min=1,
            metavar="K",
            help="Fit the linear head to K augmented views of each image; 1 for the images as they are.",
            rich_help_panel=MODEL,
        ),
    ] = 1,
    size: Size = None,
    device: Annotated[
        str, typer.Option(metavar="DEVICE", help="Device to evaluate on: auto, cpu or cuda.", rich_help_panel=MODEL)
    ] = "auto",
    options: With = None,
    keep: Annotated[
        bool,
        typer.Option(
            "--keep/--no-keep",
            help="Keep features in the cache folder, so that a later call evaluates only what is new.",
            rich_help_panel=OUTPUT,
        ),
    ] = True,
    plot: Annotated[
        Path | None,
        typer.Option(metavar="FILE.png", help="Draw accuracy against speed.", rich_help_panel=OUTPUT),
    ] = None,
    json: Json = None,
    quiet: Quiet = False,
) -> None:
    """Compare backbones on your images in minutes, without training them: which network is worth it?

    Each is evaluated once; a linear head and nearest neighbours are judged on held-out folds of its features. Only
    what is shown to be better ranks before. A model that cannot be built says why, and the exit code is 3.
    """
    from clsbench.api.probe import probe as run_probe
    from clsbench.cli.probe_table import print_probe
    from clsbench.cli.terminal import Terminal

    terminal = Terminal(json=json, quiet=quiet)
    with terminal.observer() as observer:
        result = run_probe(
            data, models=models, views=views, folds=folds, dataset=dataset, size=size, test_fraction=test_fraction,
            data_fraction=data_fraction, group=group, seed=seed, device=device, keep=keep, plot=plot,
            options=options or (), observer=observer,
        )  # fmt: skip
    print_probe(terminal, result)
    given = [("--dataset", dataset), ("--test-fraction", test_fraction), ("--group", group), ("--seed", seed or None),
             *(("--with", option) for option in options or () if option.startswith(("data.", "dataset.")))]  # fmt: skip
    words = [word for flag, value in given if value is not None for word in (flag, value)]
    terminal.write_json(result.to_json())
    terminal.next("train", *([data] if data else []), *words, *result.candidate.words)
    if not result.complete:
        raise typer.Exit(3)
