"""``clsbench evaluate``: a predictions file judged, without the model."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from clsbench.cli.parameters import (
    Columns,
    Explain,
    ExplainBy,
    ExplainModel,
    Images,
    Json,
    LabelsFile,
    Metrics,
    MinCount,
    Predictions,
    Quiet,
    With,
)


def evaluate(
    predictions: Predictions,
    labels: LabelsFile = None,
    columns: Columns = None,
    metrics: Metrics = None,
    min_count: MinCount = None,
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
    """Judge predictions: accuracy with intervals, per class, calibration, confusions, label errors."""
    from clsbench.api.evaluate import evaluate as judge
    from clsbench.cli.evaluation_tables import print_evaluation
    from clsbench.cli.parameters import with_min_count
    from clsbench.cli.report import written
    from clsbench.cli.terminal import Terminal
    from clsbench.evaluation.report import sentences

    terminal = Terminal(json=json, quiet=quiet)
    with terminal.observer() as observer:
        found = judge(
            predictions, labels=labels, columns=columns, metrics=metrics or (), html=html, images=images, plots=plots,
            explain=explain_by or ("auto" if explain else None), model=model,
            options=with_min_count(options, min_count), observer=observer,
        )  # fmt: skip
    if html:
        terminal.print(written(html))
    for sentence in sentences(found)[:3]:
        terminal.print(sentence)
    print_evaluation(terminal, found)
    terminal.write_json(found.to_json())
