"""``evaluate`` and ``report``: a predictions file judged, without the model."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

from clsbench.api.components import Options, choose, metric_names
from clsbench.api.observer import Observer
from clsbench.api.outputs import check_output
from clsbench.errors import DataError, OptionError

if TYPE_CHECKING:
    from clsbench.evaluation.judging import Evaluation
    from clsbench.predictions.table import PredictionTable

#: The columns of a foreign file: ``"path=file,predicted=pred"`` or ``{"path": "file", "predicted": "pred"}``.
Columns = str | Mapping[str, str] | None


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
    from clsbench.api.report import write_page
    from clsbench.evaluation.report.plots import save_plots

    observer, file = observer or Observer(), Path(predictions)
    if images and not html:
        raise OptionError("--images shows images in a report", where="--images", got=images, hint="add --html FILE")
    page = Path(html) if html is not None else None
    check_output(page, "--html", ".html", [file])
    folder = Path(plots) if plots is not None else None
    if folder and folder.exists() and not folder.is_dir():
        raise DataError("the plots need a folder", where="--plots", got=f"{folder} is a file")
    with open_table(file, columns=columns, labels=labels, observer=observer) as table:
        found = judge(table, metrics, options, observer)
        if page:
            write_page(found, table, page, images, observer)
    if folder:
        for drawn, reason in save_plots(found, folder):
            observer.note(f"not drawn: {drawn.name}: {reason}" if reason else f"drawn: {drawn}")
    return found


@contextmanager
def open_table(
    file: Path, *, columns: Columns = None, labels: str | Path | None = None, observer: Observer
) -> Iterator[PredictionTable]:
    """A predictions file in memory; its notes are reported."""
    from clsbench.predictions.reading import read_predictions

    observer.stage(f"reading {file}")
    with read_predictions(file, columns=parse_columns(columns), labels=Path(labels) if labels else None) as table:
        for note in table.notes:
            observer.note(note)
        yield table


def judge(table: PredictionTable, metrics: Sequence[str], options: Options, observer: Observer) -> Evaluation:
    """All metrics of a table."""
    from clsbench.evaluation.judging import judge as judge_table

    chosen = choose({"metric": [*metric_names("evaluate"), *metrics]}, options)["metric"]
    observer.stage("evaluating")
    found = judge_table(table, [(c.name, c.build()) for c in chosen])
    for name, reason in found.metrics.errors.items():
        observer.warn(f"metric {name} failed: {reason}")
    return found


def parse_columns(columns: Columns) -> dict[str, str]:
    """Our column name -> the file's.

    Raises:
        OptionError: if the text is not ``path=file,predicted=pred``.
    """
    if not isinstance(columns, str):
        return dict(columns or {})
    pairs = [pair.partition("=") for pair in columns.split(",") if pair]
    if any(not (ours and equals and theirs) for ours, equals, theirs in pairs):
        raise OptionError(
            "cannot read the columns", where="--columns", got=columns, expected="for example path=file,predicted=pred"
        )
    return {ours.strip(): theirs.strip() for ours, _, theirs in pairs}
