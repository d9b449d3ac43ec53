"""``clsbench train``: from labelled pictures to a run directory."""

from __future__ import annotations

from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Literal

import typer

from clsbench.cli.parameters import Json, Quiet, Seed, ValFraction, With

if TYPE_CHECKING:
    from rich.progress import TaskID

    from clsbench.cli.terminal import Terminal
    from clsbench.datasets.dataset import Dataset
    from clsbench.training.loop import Epoch, TrainConfig

#: Sensible defaults: (epochs, learning rate) from scratch and from pretrained weights.
SCRATCH, PRETRAINED = (30, 5e-3), (5, 1e-3)


def train(
    data: Annotated[
        Path | None,
        typer.Argument(metavar="[DATA]", help="A folder of class folders; the digits if left out."),
    ] = None,
    dataset: Annotated[
        str | None, typer.Option(help="folder, digits or a plugin's; folder where DATA is given.")
    ] = None,
    model: Annotated[str, typer.Option(help="A model of `clsbench models`.")] = "simple-cnn",
    pretrained: Annotated[bool, typer.Option("--pretrained", help="Start from published weights.")] = False,
    weights: Annotated[Path | None, typer.Option(metavar="FILE", help="Start from a local weights file.")] = None,
    epochs: Annotated[int | None, typer.Option(help="Passes; 30 from scratch, 5 from weights.")] = None,
    batch_size: Annotated[int, typer.Option(help="Images a step.")] = 32,
    lr: Annotated[
        float | None, typer.Option(help="Highest learning rate; 0.005 from scratch, 0.001 from weights.")
    ] = None,
    augment: Annotated[
        Literal["none", "basic"],
        typer.Option(help="basic: random crops, and flips where a mirrored picture is as good."),
    ] = "basic",
    val_fraction: ValFraction = 0.2,
    seed: Seed = 0,
    device: Annotated[Literal["auto", "cpu", "cuda"], typer.Option(help="Where to train.")] = "auto",
    run: Annotated[str | None, typer.Option(metavar="NAME", help="Name of the run directory.")] = None,
    options: With = None,
    json: Json = None,
    quiet: Quiet = False,
) -> None:
    """Train a classifier on labelled pictures; writes runs/NAME."""
    from clsbench.cli.composition import asked, build_dataset, resolve
    from clsbench.cli.terminal import Terminal
    from clsbench.errors import OptionError
    from clsbench.options import parse_with

    terminal = Terminal(json=json, quiet=quiet)
    if batch_size < 1:
        raise OptionError("a batch needs at least one image", where="--batch-size", got=batch_size)
    given = asked(parse_with(options or (), ("model", "data")), pretrained=pretrained, weights=weights)
    network, model_options = resolve("model", model, given)
    dataset = dataset or ("folder" if data else "digits")
    pictures, source, data_options = build_dataset(dataset, data, given, val_fraction=val_fraction, seed=seed)
    _describe(terminal, dataset, data, pictures)
    _need_training_packages()
    from clsbench.training.session import describe_run, run_training

    started = bool(model_options.get("pretrained") or model_options.get("weights"))
    default_epochs, default_lr = PRETRAINED if started else SCRATCH
    config = _config(
        default_epochs if epochs is None else epochs,
        default_lr if lr is None else lr,
        pretrained=started,
        device=device,
    )
    terminal.note(
        f"training {network.qualified} for {config.epochs} epochs on {config.device}, "
        f"learning rate {config.lr:g}, batches of {batch_size}, augmentation {augment}"
    )

    facts = describe_run(
        config,
        data={"dataset": source.qualified, "root": data and str(data.resolve()), "options": data_options},
        model={
            "name": network.qualified,
            "distribution": network.plugin.distribution,
            "version": network.plugin.version,
            "pretrained": pretrained,
            "options": model_options,
        },
        batch_size=batch_size,
        augment=augment,
        seed=seed,
    )
    build_model = partial(network.build, len(pictures.classes), **model_options)
    with _Progress(terminal, config) as progress:
        result = run_training(
            build_model,
            pictures,
            config,
            facts,
            progress,
            run_name=run,
        )
    for line in result.warnings:
        terminal.warn(line)
    best = result.best
    terminal.print(_table(result.history, best.epoch))
    terminal.print(
        f"best: {best.val_accuracy:.2%} validation accuracy in epoch {best.epoch}, written to {result.run.path}"
    )
    terminal.note("next: clsbench export --onnx")
    terminal.facts({"schema": 1, "run": str(result.run.path), **result.run.read()})


def _need_training_packages() -> None:
    from importlib.util import find_spec

    from clsbench.errors import ClsbenchError

    missing = [name for name in ("torch", "safetensors") if find_spec(name) is None]
    if missing:
        raise ClsbenchError(f"training needs {' and '.join(missing)}", hint="pip install 'clsbench[train]'")


def _config(epochs: int, lr: float, *, pretrained: bool, device: str) -> TrainConfig:
    from clsbench.training.loop import PRETRAINED_BACKBONE_LR, TrainConfig, choose_device

    return TrainConfig(
        epochs=epochs,
        lr=lr,
        backbone_lr=PRETRAINED_BACKBONE_LR if pretrained else 1.0,
        device=choose_device(device),
    )


def _describe(terminal: Terminal, name: str, root: Path | None, pictures: Dataset) -> None:
    counts = ", ".join(f"{len(samples)} {split}" for split, samples in pictures.splits.items())
    terminal.note(f"{name}{f' {root}' if root else ''}: {len(pictures.classes)} classes, {counts}")
    for note in pictures.notes:
        terminal.note(f"  {note}")


class _Progress:
    """Shows loss, accuracy and the remaining time."""

    def __init__(self, terminal: Terminal, config: TrainConfig) -> None:
        self._progress = terminal.progress("loss", "accuracy")
        self._config = config
        self._task: TaskID | None = None

    def __enter__(self) -> _Progress:
        self._progress.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._progress.stop()

    def begin(self, steps: int) -> None:
        """Training starts: so many batches an epoch."""
        total = steps * self._config.epochs
        self._task = self._progress.add_task("training", total=total, loss="", accuracy="")

    def step(self, epoch: int, loss: float) -> None:
        """A batch is done."""
        if self._task is not None:
            self._progress.update(
                self._task,
                advance=1,
                description=f"epoch {epoch}/{self._config.epochs}",
                loss=f"loss {loss:.4f}",
            )

    def epoch(self, result: Epoch) -> None:
        """An epoch is done."""
        if self._task is not None:
            self._progress.update(self._task, accuracy=f"val {result.val_accuracy:.2%}")


def _table(history: list[Epoch], best: int) -> Any:
    from clsbench.cli.terminal import table

    rows = [
        (
            f"{e.epoch}{' *' if e.epoch == best else ''}",
            f"{e.train_loss:.4f}",
            f"{e.val_loss:.4f}",
            f"{e.val_accuracy:.2%}",
            f"{e.seconds:.1f}",
        )
        for e in history
    ]
    columns = ("epoch", "training loss", "validation loss", "validation accuracy", "seconds")
    return table("Training (* best)", columns, rows)
