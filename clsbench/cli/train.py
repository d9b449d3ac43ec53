"""``clsbench train``: from labelled images to a run directory."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated

import typer

from clsbench.cli.parameters import (
    Data,
    DatasetName,
    Fold,
    Folds,
    Json,
    ModelName,
    Pretrained,
    Quiet,
    TestFraction,
    ValFraction,
    Weights,
    With,
)
from clsbench.cli.training_options import takes_training_options

if TYPE_CHECKING:
    from rich.table import Table

    from clsbench.cli.terminal import Terminal
    from clsbench.training.training_run import TrainingResult


@takes_training_options()
def train(
    data: Data = None,
    dataset: DatasetName = None,
    model: ModelName = "simple-cnn",
    pretrained: Pretrained = False,
    weights: Weights = None,
    val_fraction: ValFraction = None,
    test_fraction: TestFraction = None,
    folds: Folds = None,
    fold: Fold = None,
    strict_data: Annotated[
        bool, typer.Option("--strict-data", help="Refuse to train if the data check finds anything.")
    ] = False,
    run: Annotated[str | None, typer.Option(metavar="NAME", help="Name of the run directory.")] = None,
    options: With = None,
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
    """
    from clsbench.api.train import train as run_training
    from clsbench.cli.terminal import Terminal

    terminal = Terminal(json=json, quiet=quiet)
    with terminal.observer() as observer:
        result = run_training(
            data, dataset=dataset, model=model, pretrained=pretrained, weights=weights, run=run,
            val_fraction=val_fraction, test_fraction=test_fraction, folds=folds, fold=fold, strict_data=strict_data,
            options=options or (), observer=observer, **(training or {}),
        )  # fmt: skip
    _report(terminal, result)
    terminal.write_json(result.to_json())


def _report(terminal: Terminal, result: TrainingResult) -> None:
    if result.lr_suggestion:
        terminal.note(f"learning rate by range test: {result.lr_suggestion:.2g}")
    terminal.print(_table(result))
    if result.stopped:
        terminal.print(f"stopped early: {result.stopped}")
    best = result.best
    terminal.print(
        f"best: {best.val_accuracy:.2%} validation accuracy in epoch {best.epoch}, written to {result.run.path}"
    )
    if result.test_accuracy is not None:
        terminal.print(f"test: {result.test_accuracy:.2%} with these weights")
    terminal.note("next: clsbench export --onnx")


def _table(result: TrainingResult) -> Table:
    from clsbench.cli.tables import table

    rows = [
        (
            f"{e.epoch}{' *' if e.epoch == result.best.epoch else ''}",
            e.stage,
            f"{e.train_loss:.4f}",
            f"{e.train_accuracy:.2%}",
            f"{e.val_loss:.4f}",
            f"{e.val_accuracy:.2%}",
            f"{e.seconds:.1f}",
        )
        for e in result.history
    ]
    columns = ("epoch", "stage", "training loss", "accuracy", "validation loss", "accuracy", "seconds")
    return table("Training (* best)", columns, rows, left=2)
