"""``clsbench evaluate``: a predictions file judged, without the model; or a run on its own test images."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Literal

import typer

from clsbench.cli.evaluation_parameters import (
    Columns,
    Explain,
    ExplainBy,
    ExplainModel,
    Images,
    LabelsFile,
    Metrics,
    MinCount,
    Top,
)
from clsbench.cli.parameters import Json, Quiet, With

if TYPE_CHECKING:
    from clsbench.cli.terminal import Terminal
    from clsbench.evaluation.judging import Evaluation


def evaluate(
    target: Annotated[
        str | None,
        typer.Argument(
            metavar="PREDS|RUN",
            help="Predictions as infer writes them (.csv, .jsonl or .parquet), or a run's name or directory, which is "
            "exported if needed and judged on its own test images. Default: the latest run.",
        ),
    ] = None,
    split: Annotated[
        Literal["test", "val"] | None, typer.Option(help="The split of the run. Default: test, or val without one.")
    ] = None,
    labels: LabelsFile = None,
    columns: Columns = None,
    metrics: Metrics = None,
    min_count: MinCount = None,
    top: Top = 5,
    html: Annotated[Path | None, typer.Option(metavar="FILE.html", help="Write a report as one page.")] = None,
    images: Images = None,
    explain: Explain = False,
    explain_by: ExplainBy = None,
    model: ExplainModel = None,
    plots: Annotated[
        Path | None, typer.Option(metavar="DIR", help="Where to draw confusion.png and reliability.png.")
    ] = None,
    options: With = None,
    json: Json = None,
    quiet: Quiet = False,
) -> None:
    """Judge predictions or a run: accuracy with intervals, per class, calibration, confusions, label errors."""
    from clsbench.api.evaluate import evaluate as judge
    from clsbench.api.evaluate_run import names_run
    from clsbench.cli.evaluation_parameters import with_min_count, with_top
    from clsbench.cli.evaluation_tables import print_evaluation
    from clsbench.cli.report import written
    from clsbench.cli.terminal import Terminal
    from clsbench.evaluation.report import sentences

    terminal = Terminal(json=json, quiet=quiet)
    of_run = target is None or names_run(target)
    with terminal.observer() as observer:
        found = judge(
            None if of_run else target, run=target if of_run else None, split=split, labels=labels, columns=columns,
            metrics=metrics or (), html=html, images=images, plots=plots,
            explain=explain_by or ("auto" if explain else None), model=model,
            options=with_top(with_min_count(options, min_count), top), observer=observer,
        )  # fmt: skip
    if html:
        terminal.print(written(html))
    for sentence in sentences(found)[:4]:
        terminal.print(sentence)
    print_evaluation(terminal, found, top)
    terminal.write_json(found.to_json())
    _next(terminal, found, html)


def _next(terminal: Terminal, found: Evaluation, html: Path | None) -> None:
    """The report, if there is none yet, and the images behind the figures, if they are files."""
    from clsbench.predictions.values import Proportion

    root, there = found.manifest.root, found.manifest.images_are_there
    if html is None:
        terminal.next("report", found.file, *(["--images", root] if there else []))
    if there:
        top1 = found.find("top1", Proportion)
        wrong = isinstance(top1, Proportion) and top1.correct < top1.total
        terminal.next("show", found.file, "--pick", "wrong" if wrong else "random")
