"""``clsbench find-lr``: the learning-rate range test."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from clsbench.cli.parameters import (
    Data,
    DatasetName,
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
from clsbench.training.config import RANGE_TEST


@takes_training_options(RANGE_TEST)
def find_lr(
    data: Data = None,
    dataset: DatasetName = None,
    model: ModelName = "simple-cnn",
    pretrained: Pretrained = False,
    weights: Weights = None,
    steps: Annotated[int, typer.Option(min=20, metavar="N", help="Number of learning rates to try.")] = 100,
    out: Annotated[Path, typer.Option(metavar="FILE.png", help="Where to draw the curve.")] = Path("find-lr.png"),
    val_fraction: ValFraction = None,
    test_fraction: TestFraction = None,
    options: With = None,
    json: Json = None,
    quiet: Quiet = False,
    training: dict[str, object] | None = None,
) -> None:
    """Find a learning rate: raise it step by step, draw the loss, suggest two rates."""
    from clsbench.api.train import find_lr as run_test
    from clsbench.cli.tables import facts_table
    from clsbench.cli.terminal import Terminal

    terminal = Terminal(json=json, quiet=quiet)
    with terminal.observer() as observer:
        test = run_test(
            data, dataset=dataset, model=model, pretrained=pretrained, weights=weights,
            val_fraction=val_fraction, test_fraction=test_fraction, steps=steps, out=out, options=options or (),
            observer=observer, **(training or {}),
        )  # fmt: skip
    rates = [("valley", f"{test.valley:.2e}"), ("steep", f"{test.steep:.2e}")]
    terminal.print(facts_table(f"Learning rates for {model} ({test.stage})", rates), f"curve: {out}")
    terminal.note(f"next: clsbench train … --lr {test.valley:.1e}, or --lr auto")
    terminal.write_json({**test.to_json(), "curve": str(out)})
