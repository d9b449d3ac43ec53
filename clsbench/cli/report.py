"""``clsbench report``: one self-contained HTML page about a predictions file."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

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
    Predictions,
)
from clsbench.cli.parameters import Json, Quiet, With


def report(
    predictions: Predictions,
    out: Annotated[
        Path | None, typer.Option(metavar="FILE.html", help="Where to write the page. Default: PREDS.html.")
    ] = None,
    images: Images = None,
    explain: Explain = False,
    explain_by: ExplainBy = None,
    model: ExplainModel = None,
    labels: LabelsFile = None,
    columns: Columns = None,
    metrics: Metrics = None,
    min_count: MinCount = None,
    options: With = None,
    json: Json = None,
    quiet: Quiet = False,
) -> None:
    """Write a report as one HTML page that works offline; --images adds images, --explain heatmaps."""
    from clsbench.api.report import report as write_report
    from clsbench.cli.evaluation_parameters import with_min_count
    from clsbench.cli.terminal import Terminal

    terminal = Terminal(json=json, quiet=quiet)
    with terminal.observer() as observer:
        page = write_report(
            predictions, out=out, images=images, labels=labels, columns=columns, metrics=metrics or (),
            explain=explain_by or ("auto" if explain else None), model=model,
            options=with_min_count(options, min_count), observer=observer,
        )  # fmt: skip
    terminal.print(written(page.file))
    terminal.write_json(page.to_json())
    if page.evaluation.manifest.images_are_there:
        terminal.next("show", predictions, "--pick", "top-loss")


def written(file: Path) -> str:
    """Where a page is and how large."""
    from clsbench.text import file_size

    return f"report: {file} ({file_size(file.stat().st_size)})"
