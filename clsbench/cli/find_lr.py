"""``clsbench find-lr``: the learning-rate range test."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from clsbench.cli.parameters import OUTPUT, Json, Quiet, With
from clsbench.cli.split_parameters import DataFraction, Group, Ignore, TestFraction, ValFraction
from clsbench.cli.training_options import takes_training_options, typed
from clsbench.cli.training_parameters import (
    Data,
    DatasetName,
    Filter,
    HowResized,
    ModelName,
    Pad,
    Pretrained,
    Size,
    Weights,
)
from clsbench.training.config import RANGE_TEST

TEST = "Range test"


@takes_training_options(RANGE_TEST)
def find_lr(
    data: Data = None,
    dataset: DatasetName = None,
    val_fraction: ValFraction = None,
    test_fraction: TestFraction = None,
    data_fraction: DataFraction = None,
    group: Group = None,
    ignore: Ignore = None,
    model: ModelName = "simple-cnn",
    pretrained: Pretrained = False,
    weights: Weights = None,
    size: Size = None,
    resize: HowResized = None,
    pad: Pad = None,
    interpolation: Filter = None,
    options: With = None,
    steps: Annotated[
        int, typer.Option(min=20, metavar="N", help="Number of learning rates to try.", rich_help_panel=TEST)
    ] = 100,
    unfrozen: Annotated[
        bool,
        typer.Option(
            "--unfrozen",
            help="Test the stage that trains everything, rather than the first stage of the recipe; use --weights "
            "of a run whose head is trained.",
            rich_help_panel=TEST,
        ),
    ] = False,
    out: Annotated[
        Path, typer.Option(metavar="FILE.png", help="Where to draw the curve.", rich_help_panel=OUTPUT)
    ] = Path("find-lr.png"),
    json: Json = None,
    quiet: Quiet = False,
    training: dict[str, object] | None = None,
) -> None:
    """Find a learning rate: raise it step by step, draw the loss, suggest two rates."""
    from clsbench.api.find_lr import find_lr as run_test
    from clsbench.cli.tables import table
    from clsbench.cli.terminal import Terminal

    terminal = Terminal(json=json, quiet=quiet)
    with terminal.observer() as observer:
        test = run_test(
            data, dataset=dataset, model=model, pretrained=pretrained, weights=weights,
            size=size, resize=resize, pad=pad, interpolation=interpolation,
            val_fraction=val_fraction, test_fraction=test_fraction, data_fraction=data_fraction, group=group,
            ignore=ignore or (), steps=steps, unfrozen=unfrozen, out=out, options=options or (), observer=observer,
            **(training or {}),
        )  # fmt: skip
    rates = [
        ("valley", f"{test.valley:.2e}", "two thirds down the longest descent; what --lr auto takes"),
        ("steep", f"{test.steep:.2e}", "where the loss falls fastest"),
    ]
    suggested = table(f"Learning rates for {model} ({test.stage})", ("", "rate", "is"), rates, left=3)
    terminal.print(suggested, f"curve: {out}")
    given = [("--dataset", dataset), ("--model", model), ("--weights", weights), ("--size", size),
             ("--resize", resize), ("--pad", pad), ("--interpolation", interpolation),
             ("--val-fraction", val_fraction), ("--test-fraction", test_fraction), ("--data-fraction", data_fraction),
             ("--group", group), *(("--ignore", code) for code in ignore or ()),
             *(("--with", option) for option in options or ())]  # fmt: skip
    words = [word for flag, value in given if value is not None for word in (flag, value)]
    rate, asked = f"{test.valley:.1e}", dict(training or {})
    if unfrozen and test.lr_mult < 1:  # the rates of the first layer group and of the head
        rate = f"{test.valley * test.lr_mult:.1e},{rate}"
    if unfrozen and weights and asked.get("recipe") != "scratch":  # the head that was tested is trained already
        words += ["--freeze-epochs", "0"]
    terminal.next("train", *([data] if data else []), *words, *(["--pretrained"] if pretrained else []),
                  *typed(asked), "--lr", rate)  # fmt: skip
    terminal.write_json({**test.to_json(), "curve": str(out)})
