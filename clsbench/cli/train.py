"""``clsbench train``: from labelled images to a run directory."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from clsbench.cli import completion
from clsbench.cli.parameters import Json, Quiet, With
from clsbench.cli.split_parameters import (
    DataFraction,
    Fold,
    Folds,
    Group,
    Ignore,
    StrictData,
    TestFraction,
    ValFraction,
)
from clsbench.cli.training_options import takes_training_options
from clsbench.cli.training_parameters import (
    Data,
    DatasetName,
    Filter,
    HowResized,
    ModelOrRecorded,
    Pad,
    Pretrained,
    Size,
    Weights,
)
from clsbench.training.option_specs import RUN


@takes_training_options()
def train(
    data: Data = None,
    dataset: DatasetName = None,
    val_fraction: ValFraction = None,
    test_fraction: TestFraction = None,
    folds: Folds = None,
    fold: Fold = None,
    data_fraction: DataFraction = None,
    group: Group = None,
    strict_data: StrictData = False,
    ignore: Ignore = None,
    model: ModelOrRecorded = None,
    pretrained: Pretrained = False,
    weights: Weights = None,
    size: Size = None,
    resize: HowResized = None,
    pad: Pad = None,
    interpolation: Filter = None,
    options: With = None,
    run: Annotated[
        str | None, typer.Option(metavar="NAME", help="Name of the run directory.", rich_help_panel=RUN)
    ] = None,
    resume: Annotated[
        bool,
        typer.Option(
            "--resume",
            help="Go on with a run that was killed or interrupted: the one named in place of DATA, or the latest.",
            rich_help_panel=RUN,
        ),
    ] = False,
    config: Annotated[
        Path | None,
        typer.Option(
            metavar="RUN|FILE",
            help="Train what a run or its run.json describes; other options given take the place of recorded ones.",
            autocompletion=completion.runs,
            rich_help_panel=RUN,
        ),
    ] = None,
    json: Json = None,
    quiet: Quiet = False,
    training: dict[str, object] | None = None,
) -> None:
    """Train a classifier on labelled images; writes runs/NAME.

    Examples, each a whole recipe:

    train photos/ --model resnet18 --pretrained --patience 3

    train photos/ --model resnet50 --pretrained --recipe frozen --head mlp:512,dropout=0.2

    train faces/ --with data.attribute=smiling --model resnext101_32x8d --pretrained

    train pets/images --dataset regex --model resnet34 --pretrained --lr auto

    train --dataset cifar10 --model simple-cnn --epochs 5

    train runs/mine --resume
    """
    from clsbench.api.train import train as run_training
    from clsbench.cli.terminal import Terminal
    from clsbench.cli.training_report import report_training
    from clsbench.training.launching import secondary

    if secondary():  # of several processes the first prints, and writes
        json, quiet = None, True
    terminal = Terminal(json=json, quiet=quiet)
    with terminal.observer() as observer:
        result = run_training(
            None if resume else data, resume=resume and (data or True), config=config,
            dataset=dataset, model=model, pretrained=pretrained, weights=weights, run=run,
            size=size, resize=resize, pad=pad, interpolation=interpolation,
            val_fraction=val_fraction, test_fraction=test_fraction, folds=folds, fold=fold,
            data_fraction=data_fraction, group=group, strict_data=strict_data, ignore=ignore or (),
            options=options or (), observer=observer, **(training or {}),
        )  # fmt: skip
    if secondary():
        return
    report_training(terminal, result)
    terminal.write_json(result.to_json())
