"""``clsbench train``: from labelled images to a run directory."""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING, Annotated, Any, Literal

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
    Seed,
    TestFraction,
    ValFraction,
    Weights,
    With,
)

if TYPE_CHECKING:
    from clsbench.cli.terminal import Terminal
    from clsbench.training.config import TrainConfig
    from clsbench.training.loop import Epoch
    from clsbench.training.training_run import TrainingResult


def train(
    data: Data = None,
    dataset: DatasetName = None,
    model: ModelName = "simple-cnn",
    pretrained: Pretrained = False,
    weights: Weights = None,
    recipe: Annotated[
        Literal["fine-tune", "frozen", "scratch"] | None,
        typer.Option(help="fine-tune: the head first, then everything; frozen: the head only. By the weights."),
    ] = None,
    epochs: Annotated[
        int | None,
        typer.Option(help="Passes: 30 from scratch, 5 to fine-tune (after the head's), 20 of a frozen head."),
    ] = None,
    freeze_epochs: Annotated[int | None, typer.Option(help="fine-tune: passes of the head alone, before; 5.")] = None,
    unfreeze_from: Annotated[
        str | None, typer.Option(metavar="GROUP", help="Layer groups before this one are never trained.")
    ] = None,
    lr: Annotated[
        str | None,
        typer.Option(metavar="RATE", help="Highest learning rate, or `auto` for find-lr's. By the recipe."),
    ] = None,
    lr_mult: Annotated[float | None, typer.Option(help="A factor on it for the first layer group.")] = None,
    schedule: Annotated[
        Literal["one-cycle", "cosine", "step", "constant"], typer.Option(help="Of the learning rate.")
    ] = "one-cycle",
    optimizer: Annotated[Literal["adamw", "adam", "sgd"], typer.Option(help="sgd has momentum 0.9.")] = "adamw",
    weight_decay: Annotated[float, typer.Option(help="Of weights; biases and normalisation have none.")] = 0.01,
    batch_size: Annotated[int, typer.Option(help="Images a batch.")] = 32,
    accumulate: Annotated[int, typer.Option(help="Batches a step of the optimizer.")] = 1,
    label_smoothing: Annotated[float, typer.Option(help="The part of a target spread over all classes.")] = 0.0,
    class_weights: Annotated[
        Literal["none", "balanced"], typer.Option(help="balanced: rare classes count as much as common ones.")
    ] = "none",
    mixup: Annotated[float, typer.Option(help="Mixup, by its Beta parameter, such as 0.2.")] = 0.0,
    cutmix: Annotated[float, typer.Option(help="CutMix, by its Beta parameter, such as 1.")] = 0.0,
    augment: Annotated[
        Literal["none", "basic", "rand", "trivial"] | None,
        typer.Option(
            help="basic (default): random crops, and flips where they do no harm; or RandAugment, TrivialAugment."
        ),
    ] = None,
    views: Annotated[
        int | None, typer.Option(help="Frozen backbone: augmented views of each image, cached; 0 caches nothing.")
    ] = None,
    ema: Annotated[float, typer.Option(help="Judge and keep averaged weights, of this decay, such as 0.999.")] = 0.0,
    clip_grad: Annotated[float, typer.Option(help="Largest norm of the gradient.")] = 0.0,
    head: Annotated[str, typer.Option(help="linear, or mlp:WIDTH; with dropout: mlp:512,dropout=0.2.")] = "linear",
    patience: Annotated[int, typer.Option(help="Stop after so many epochs without a better validation.")] = 0,
    max_time: Annotated[
        str | None, typer.Option(metavar="TIME", help="Stop after this time: seconds, or 90s, 10m, 2h.")
    ] = None,
    val_fraction: ValFraction = None,
    test_fraction: TestFraction = None,
    folds: Folds = None,
    fold: Fold = None,
    strict_data: Annotated[
        bool, typer.Option("--strict-data", help="Refuse to train if the data check finds anything.")
    ] = False,
    cache: Annotated[
        Literal["auto", "ram", "disk", "off"], typer.Option(help="Where decoded images are kept between epochs.")
    ] = "auto",
    seed: Seed = 0,
    device: Annotated[Literal["auto", "cpu", "cuda"], typer.Option(help="Where to train.")] = "auto",
    run: Annotated[str | None, typer.Option(metavar="NAME", help="Name of the run directory.")] = None,
    options: With = None,
    json: Json = None,
    quiet: Quiet = False,
) -> None:
    """Train a classifier on labelled images; writes runs/NAME.

    Examples, each a whole recipe:

    train photos/ --model resnet18 --pretrained --patience 3

    train photos/ --model resnet50 --pretrained --recipe frozen --head mlp:512,dropout=0.2

    train faces/ --with data.attribute=smiling --model resnext101_32x8d --pretrained

    train pets/images --dataset regex --model resnet34 --pretrained --lr auto

    train --dataset cifar10 --model simple-cnn --epochs 5
    """
    from clsbench.cli.progress import TrainingProgress
    from clsbench.cli.terminal import Terminal
    from clsbench.cli.training_inputs import resolve_inputs
    from clsbench.runs import check_name
    from clsbench.training.config import read_options

    terminal = Terminal(json=json, quiet=quiet)
    # Wrong usage is refused before images are looked for, or downloaded.
    read_options({"lr": lr, "max_time": max_time, "head": head})
    auto = lr == "auto"
    check_name(run)
    inputs = resolve_inputs(
        terminal, data, dataset, model, options, pretrained=pretrained, weights=weights, seed=seed,
        splits={"val_fraction": val_fraction, "test_fraction": test_fraction, "folds": folds, "fold": fold},
    )  # fmt: skip
    from clsbench.training.training_run import run_training

    config = inputs.configure(
        recipe, epochs=epochs, freeze_epochs=freeze_epochs, unfreeze_from=unfreeze_from,
        lr=lr, lr_mult=lr_mult, schedule=schedule, optimizer=optimizer,
        weight_decay=weight_decay, batch_size=batch_size, accumulate=accumulate, label_smoothing=label_smoothing,
        class_weights=class_weights, mixup=mixup, cutmix=cutmix, augment=augment, views=views, ema=ema,
        clip_grad=clip_grad, head=head, patience=patience, max_time=max_time, cache=cache, seed=seed,
        device=device,
    )  # fmt: skip
    terminal.note(_plan(inputs.network.qualified, config, auto=auto))
    with TrainingProgress(terminal) as progress:
        result = run_training(
            partial(inputs.network.build, len(inputs.pictures.classes), **inputs.model_options),
            inputs.pictures, config, progress, data=inputs.data, model=inputs.model, split=inputs.split,
            run_name=run, auto_lr=auto, strict=strict_data,
        )  # fmt: skip
    _report(terminal, result, config)
    terminal.facts(result.to_json())


def _plan(name: str, config: TrainConfig, *, auto: bool) -> str:
    """What is going to happen, with everything that was assumed."""
    epochs = f"{config.epochs} epochs"
    if config.freeze_epochs:
        epochs = f"{config.freeze_epochs} epochs of the head, {config.epochs} of everything"
    rate = "found by a range test" if auto else f"{config.lr:g}"
    augment = config.augment + (f" in {config.views} views" if config.views > 1 else "")
    return (
        f"training {name} on {config.device}, recipe {config.recipe}: {epochs}, learning rate {rate} "
        f"({config.schedule}), batches of {config.batch_size}, augmentation {augment}"
    )


def _report(terminal: Terminal, result: TrainingResult, config: TrainConfig) -> None:
    if result.classifier.head_loaded is False:
        terminal.note("the head is new: that of the weights file is another, or for another number of classes")
    if result.lr_suggestion:
        terminal.note(f"learning rate by range test: {result.lr_suggestion:.2g}")
    terminal.print(_table(result.history, result.best.epoch))
    if result.stopped:
        terminal.print(f"stopped early: {result.stopped}")
    best = result.best
    terminal.print(
        f"best: {best.val_accuracy:.2%} validation accuracy in epoch {best.epoch}, written to {result.run.path}"
    )
    if result.test_accuracy is not None:
        terminal.print(f"test: {result.test_accuracy:.2%} with these weights")
    terminal.note("next: clsbench export --onnx")


def _table(history: tuple[Epoch, ...], best: int) -> Any:
    from clsbench.cli.terminal import table

    rows = [
        (
            f"{e.epoch}{' *' if e.epoch == best else ''}",
            e.stage,
            f"{e.train_loss:.4f}",
            f"{e.train_accuracy:.2%}",
            f"{e.val_loss:.4f}",
            f"{e.val_accuracy:.2%}",
            f"{e.seconds:.1f}",
        )
        for e in history
    ]
    columns = ("epoch", "stage", "training loss", "accuracy", "validation loss", "accuracy", "seconds")
    return table("Training (* best)", columns, rows, left=2)
