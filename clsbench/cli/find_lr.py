"""``clsbench find-lr``: the learning-rate range test."""

from __future__ import annotations

from functools import partial
from pathlib import Path
from typing import Annotated, Literal

import typer

from clsbench.cli.parameters import (
    Data,
    DatasetName,
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


def find_lr(
    data: Data = None,
    dataset: DatasetName = None,
    model: ModelName = "simple-cnn",
    pretrained: Pretrained = False,
    weights: Weights = None,
    recipe: Annotated[
        Literal["fine-tune", "frozen", "scratch"] | None,
        typer.Option(help="Its first stage is tested: the head, or everything from scratch."),
    ] = None,
    optimizer: Annotated[Literal["adamw", "adam", "sgd"], typer.Option(help="As in train.")] = "adamw",
    batch_size: Annotated[int, typer.Option(help="Images a batch.")] = 32,
    augment: Annotated[Literal["none", "basic", "rand", "trivial"] | None, typer.Option(help="As in train.")] = None,
    head: Annotated[str, typer.Option(help="As in train.")] = "linear",
    steps: Annotated[int, typer.Option(min=20, help="Learning rates to try.")] = 100,
    out: Annotated[Path, typer.Option(metavar="FILE.png", help="The curve.")] = Path("find-lr.png"),
    val_fraction: ValFraction = None,
    test_fraction: TestFraction = None,
    seed: Seed = 0,
    device: Annotated[Literal["auto", "cpu", "cuda"], typer.Option(help="Where to train.")] = "auto",
    options: With = None,
    json: Json = None,
    quiet: Quiet = False,
) -> None:
    """Find a learning rate: raise it step by step, draw the loss, suggest two rates."""
    from tempfile import TemporaryDirectory

    from clsbench.cli.progress import TrainingProgress
    from clsbench.cli.terminal import Terminal, facts_table
    from clsbench.cli.training_inputs import resolve_inputs
    from clsbench.images.grid import check_png

    terminal = Terminal(json=json, quiet=quiet)
    check_png(out)
    inputs = resolve_inputs(
        terminal, data, dataset, model, options, pretrained=pretrained, weights=weights, seed=seed,
        splits={"val_fraction": val_fraction, "test_fraction": test_fraction},
    )  # fmt: skip
    from clsbench.training.lr_finder import range_test, save_range_test
    from clsbench.training.setup import build_classifier, set_up

    config = inputs.configure(
        recipe, optimizer=optimizer, batch_size=batch_size, augment=augment, head=head, seed=seed, device=device
    )
    build = partial(inputs.network.build, len(inputs.pictures.classes), **inputs.model_options)
    classifier = build_classifier(build, inputs.pictures, config, name=inputs.model.name)
    with TemporaryDirectory() as folder, TrainingProgress(terminal) as progress:
        setup, _ = set_up(classifier, inputs.pictures, config, progress, Path(folder))
        test = range_test(setup, steps=steps)
        setup.close()
    save_range_test(test, out)
    terminal.print(
        facts_table(
            f"Learning rates for {inputs.network.qualified} ({test.stage})",
            [("valley", f"{test.valley:.2e}"), ("steep", f"{test.steep:.2e}")],
        )
    )
    terminal.print(f"curve: {out}")
    terminal.note(f"next: clsbench train … --lr {test.valley:.1e}, or --lr auto")
    terminal.facts({**test.to_json(), "curve": str(out)})
