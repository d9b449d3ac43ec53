"""``evaluate``: a predictions file judged, without the model."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from clsbench.api.components import Options
from clsbench.api.observer import Observer
from clsbench.api.outputs import check_output
from clsbench.api.predictions import Columns, judge, open_table
from clsbench.api.report import write_page
from clsbench.errors import DataError, OptionError
from clsbench.output_files import check_folder

if TYPE_CHECKING:
    from clsbench.evaluation.judging import Evaluation


def evaluate(
    predictions: str | Path,
    *,
    labels: str | Path | None = None,
    columns: Columns = None,
    metrics: Sequence[str] = (),
    html: str | Path | None = None,
    images: str | Path | None = None,
    plots: str | Path | None = None,
    options: Options = (),
    observer: Observer | None = None,
) -> Evaluation:
    """Judge predictions: accuracy with intervals, per class, calibration, confusions, label errors.

    Args:
        predictions: A .csv, .jsonl or .parquet file of ``infer``, or any with paths and predicted classes.
        labels: A CSV file with the columns path and label, in place of the file's labels.
        columns: What the file calls our columns, where that differs.
        metrics: Metrics in addition to the built-in ones.
        html: Write a report as one page.
        images: The folder that the paths are relative to; the report then shows images.
        plots: A folder for confusion.png and reliability.png.
        options: Options of metrics, such as ``{"confusion.min_count": 5}``.
        observer: Hears notes, warnings and progress.

    Raises:
        OptionError: for unknown metrics, options or columns.
        DataError: if the file cannot be read or has nothing to judge, or an output cannot be written.
    """
    from clsbench.evaluation.report.plots import save_plots

    observer, file = observer or Observer(), Path(predictions)
    if images and not html:
        raise OptionError("--images shows images in a report", where="--images", got=images, hint="add --html FILE")
    page = Path(html) if html is not None else None
    check_output(page, "--html", ".html", [file], what="the report")
    folder = Path(plots) if plots is not None else None
    if folder and folder.exists() and not folder.is_dir():
        raise DataError("the plots need a folder", where="--plots", got=f"{folder} is a file")
    if folder:
        check_folder(folder, "the plots")
    with open_table(file, columns=columns, labels=labels, observer=observer) as table:
        found = judge(table, metrics, options, observer)
        if page:
            write_page(found, table, page, images, observer)
    if folder:
        for drawn, reason in save_plots(found, folder):
            observer.note(f"not drawn: {drawn.name}: {reason}" if reason else f"drawn: {drawn}")
    return found
