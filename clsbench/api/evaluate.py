"""``evaluate``: a predictions file judged, without the model; or a run, by predictions that are made for it."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Literal

from clsbench.api.components import Options
from clsbench.api.data import refuse_beside_run
from clsbench.api.evaluate_run import infer_run, run_files
from clsbench.api.observer import Observer
from clsbench.api.outputs import Outputs
from clsbench.api.predictions import Columns, judge, open_table
from clsbench.api.report import check_explain, write_page
from clsbench.errors import OptionError

if TYPE_CHECKING:
    from clsbench.evaluation.judging import Evaluation
    from clsbench.inference.explaining import Method


def evaluate(
    predictions: str | Path | None = None,
    *,
    run: str | Path | None = None,
    split: Literal["test", "val"] | None = None,
    labels: str | Path | None = None,
    columns: Columns = None,
    metrics: Sequence[str] = (),
    html: str | Path | None = None,
    images: str | Path | None = None,
    explain: Method | None = None,
    model: str | Path | None = None,
    plots: str | Path | None = None,
    options: Options = (),
    observer: Observer | None = None,
) -> Evaluation:
    """Judge predictions: accuracy with intervals, per class, calibration, confusions, label errors.

    Args:
        predictions: A .csv, .jsonl or .parquet file of ``infer``, or any with paths and predicted classes.
        run: Without a file: a run's name or directory, the latest if left out. It is exported if it has not been,
            and its model classifies its own test or validation images; the predictions file is ``RUN/SPLIT.csv``.
        split: Of the run; ``test`` where it has a test split, else ``val``, if left out.
        labels: A CSV file with the columns path and label, in place of the file's labels.
        columns: What the file calls our columns, where that differs.
        metrics: Metrics in addition to the built-in ones.
        html: Write a report as one page.
        images: The folder that the paths are relative to, a run's own if left out; the report then shows images.
        explain, model: Heatmaps in the report, as in :func:`clsbench.report`.
        plots: A folder for confusion.png and reliability.png.
        options: Options of metrics, such as ``{"confusion.min_count": 5}``.
        observer: Hears notes, warnings and progress.

    Raises:
        OptionError: for unknown metrics, options or columns, or both a file and a run.
        ModelError: if there is no such run, or it cannot be exported.
        DataError: if the file cannot be read or has nothing to judge, or an output cannot be written.
    """
    from clsbench.evaluation.report.plots import PLOTS, save_plots

    observer = observer or Observer()
    if images and not html:
        raise OptionError("--images shows images in a report", where="--images", got=images, hint="add --html FILE")
    if explain and not html:
        raise OptionError("--explain draws heatmaps in a report", where="--explain", hint="add --html FILE")
    if predictions is not None:  # a run knows where its images are
        check_explain(explain, images)
    page = Path(html) if html is not None else None
    file = Path(predictions) if predictions is not None else None
    if file is not None and (run is not None or split is not None):
        raise OptionError("either a predictions file or a run", got=f"{file} and {'--split' if run is None else run}")
    folder = Path(plots) if plots is not None else None
    outputs = Outputs(observer)
    outputs.add(page, "--html", "the report", ".html")
    outputs.add_folder(folder, "--plots", "the plots", PLOTS)
    outputs.refuse(file, model)
    if file is None:
        outputs.refuse(*run_files(run))
        refuse_beside_run(str(run or "the latest run"), "", None, labels=labels, columns=columns)
        file = infer_run(run, split, observer)
    with open_table(file, columns=columns, labels=labels, outputs=outputs, observer=observer) as table:
        found = judge(table, metrics, options, observer)
        if page:
            if predictions is None and images is None:
                images = table.root if table.manifest.images_are_there else None
                if explain and images is None:
                    observer.warn("no heatmaps: the images of this run are not files in a folder")
            write_page(found, table, page, images, observer, explain=explain, model=model)
    if folder:
        for drawn, reason in save_plots(found, folder):
            observer.note(f"not drawn: {drawn.name}: {reason}" if reason else f"drawn: {drawn}")
    return found
