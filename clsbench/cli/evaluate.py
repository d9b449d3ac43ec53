"""``clsbench evaluate``: a predictions file judged, without the model."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from clsbench.cli.evaluation_inputs import Columns, Images, LabelsFile, Metrics, MinCount
from clsbench.cli.parameters import Json, Quiet, With


def evaluate(
    predictions: Annotated[Path, typer.Argument(metavar="PREDS", help="A .csv, .jsonl or .parquet of infer's.")],
    labels: LabelsFile = None,
    columns: Columns = None,
    metrics: Metrics = None,
    min_count: MinCount = 2,
    html: Annotated[Path | None, typer.Option(metavar="FILE.html", help="Write a report as one page.")] = None,
    images: Images = None,
    plots: Annotated[
        Path | None, typer.Option(metavar="DIR", help="Where to draw confusion.png and reliability.png.")
    ] = None,
    options: With = None,
    json: Json = None,
    quiet: Quiet = False,
) -> None:
    """Judge predictions: accuracy with intervals, per class, calibration, confusions, label errors."""
    from clsbench.cli.evaluation_inputs import check_output, judge, open_table
    from clsbench.cli.evaluation_tables import print_evaluation
    from clsbench.cli.report import write_page
    from clsbench.cli.terminal import Terminal
    from clsbench.errors import DataError, OptionError
    from clsbench.evaluation.report import sentences
    from clsbench.evaluation.report.plots import save_plots

    if images and not html:
        raise OptionError("--images shows images in a report", where="--images", got=images, hint="add --html FILE")
    check_output(html, "--html", ".html", [predictions])
    if plots and plots.exists() and not plots.is_dir():
        raise DataError("the plots need a folder", where=plots, got="a file")
    terminal = Terminal(json=json, quiet=quiet)
    with open_table(terminal, predictions, columns=columns, labels=labels) as table:
        evaluation = judge(terminal, table, metrics, min_count=min_count, options=options)
        if html:
            write_page(terminal, evaluation, table, html, images)
    for sentence in sentences(evaluation)[:3]:
        terminal.print(sentence)
    print_evaluation(terminal, evaluation)
    if plots:
        for file, reason in save_plots(evaluation, plots):
            terminal.note(f"not drawn: {file.name}: {reason}" if reason else f"drawn: {file}")
    terminal.facts(evaluation.to_json())
