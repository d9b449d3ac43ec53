"""``clsbench evaluate``: a predictions file judged, without the model."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from clsbench.cli.evaluation_inputs import Columns, Images, LabelsFile, Metrics, MinCount
from clsbench.cli.parameters import Json, Quiet, With

if TYPE_CHECKING:
    from clsbench.cli.terminal import Terminal


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

    if images and not html:
        raise OptionError("--images shows images in a report", where="--images", got=images, hint="add --html FILE")
    check_output(html, "--html", ".html", [predictions])
    if plots and plots.exists() and not plots.is_dir():
        raise DataError("the plots need a folder", where=plots, got="a file")
    terminal = Terminal(json=json, quiet=quiet)
    with open_table(terminal, predictions, columns=columns, labels=labels) as table:
        facts = judge(terminal, table, metrics, min_count=min_count, options=options)
        if html:
            write_page(terminal, facts, table, html, images)
    for sentence in sentences(facts)[:3]:
        terminal.print(sentence)
    print_evaluation(terminal, facts)
    if plots:
        save_plots(terminal, facts, plots)
    terminal.facts(facts)


def save_plots(terminal: Terminal, facts: dict[str, Any], folder: Path) -> None:
    """Draw ``confusion.png``, and ``reliability.png`` where confidences are known."""
    from clsbench.errors import DataError
    from clsbench.evaluation.report.plots import save_confusion, save_reliability

    for save, name in ((save_confusion, "confusion.png"), (save_reliability, "reliability.png")):
        try:
            save(facts, folder / name)
            terminal.note(f"drawn: {folder / name}")
        except DataError as error:
            terminal.note(f"not drawn: {name}: {error.one_line()}")
