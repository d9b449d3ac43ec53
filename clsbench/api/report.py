"""``report``: one self-contained HTML page about a predictions file."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from clsbench.api.components import Options
from clsbench.api.observer import Observer
from clsbench.api.outputs import Outputs
from clsbench.api.predictions import Columns, judge, open_table
from clsbench.api.report_heatmaps import report_heatmaps
from clsbench.errors import OptionError
from clsbench.text import counted

if TYPE_CHECKING:
    from clsbench.evaluation.judging import Evaluation
    from clsbench.images.entries import Entry
    from clsbench.inference.explaining import Method
    from clsbench.predictions.table import PredictionTable


@dataclass(frozen=True)
class Report:
    """A page that was written, and what it says."""

    file: Path
    evaluation: Evaluation

    def to_json(self) -> dict[str, Any]:
        """Plain values: those of the evaluation, and the file under ``report``."""
        return {**self.evaluation.to_json(), "report": str(self.file)}


def report(
    predictions: str | Path,
    *,
    out: str | Path | None = None,
    images: str | Path | None = None,
    explain: Method | None = None,
    model: str | Path | None = None,
    labels: str | Path | None = None,
    columns: Columns = None,
    metrics: Sequence[str] = (),
    options: Options = (),
    observer: Observer | None = None,
) -> Report:
    """Write a report as one HTML page that works offline.

    Args:
        predictions: A .csv, .jsonl or .parquet file of ``infer``.
        out: The page; the predictions file's name with .html if left out.
        images: The folder that the paths are relative to, or the archive or URL that infer was given; the page then
            shows images.
        explain: The method of heatmaps for the greatest losses, ``auto``, ``cam``, ``occlusion`` or ``rise``; None for
            none, since they need the images and run the model.
        model: The .onnx file for them; the one that the manifest names if left out.
        labels, columns, metrics, options, observer: As in :func:`clsbench.evaluate`.

    Raises:
        OptionError: for unknown metrics, options or columns, or heatmaps without images or a model.
        DataError: if the file cannot be read, or the page not written.
        ModelError: if the model cannot be used for heatmaps.
    """
    observer, file = observer or Observer(), Path(predictions)
    page = Path(out) if out is not None else file.with_suffix(".html")
    outputs = Outputs(observer)
    outputs.add(page, "--out", "the report", ".html")
    outputs.refuse(file, model)
    check_explain(explain, images)
    with open_table(file, columns=columns, labels=labels, outputs=outputs, observer=observer) as table:
        found = judge(table, metrics, options, observer)
        write_page(found, table, page, images, observer, explain=explain, model=model)
    return Report(page, found)


def check_explain(explain: Method | None, images: str | Path | None) -> None:
    """Refuse heatmaps of images that are not named.

    Raises:
        OptionError: saying so.
    """
    if explain and not images:
        raise OptionError("heatmaps need the images", where="--explain", hint="add --images ROOT")


def write_page(
    found: Evaluation,
    table: PredictionTable,
    out: Path,
    images: str | Path | None,
    observer: Observer,
    *,
    explain: Method | None = None,
    model: str | Path | None = None,
) -> None:
    """Render the report, with thumbnails if the folder of the images is given, and heatmaps if they are asked for."""
    from clsbench.evaluation.report import wanted_images, write_report
    from clsbench.images.sources.lookup import ImageLookup

    thumbnails = heatmaps = None
    if images:
        find = ImageLookup(images)
        thumbnails = _thumbnails(find, wanted_images(found, table), observer)
        if explain:
            heatmaps = report_heatmaps(found, table, find, method=explain, model=model, observer=observer)
    observer.stage("writing the report")
    write_report(out, found, table, thumbnails=thumbnails, heatmaps=heatmaps)


def _thumbnails(find: Callable[[str], Entry], names: Iterable[str], observer: Observer) -> dict[str, bytes]:
    """Small JPEGs of images that ``find`` finds by their names; those that cannot be read are left out and counted."""
    from clsbench.errors import ClsbenchError
    from clsbench.evaluation.report.thumbnails import SIDE, jpeg
    from clsbench.images.loader import ImageLoader
    from clsbench.transform import ImageTransform

    loader = ImageLoader(ImageTransform(size=(SIDE, SIDE), resize="letterbox", mean=(1.0, 1.0, 1.0)))
    made: dict[str, bytes] = {}
    missing = []
    for name in names:
        try:
            made[name] = jpeg(loader(find(name)))
        except ClsbenchError:
            missing.append(name)
    if missing:
        observer.warn(f"{counted(len(missing), 'image')} cannot be shown, such as {missing[0]}")
    return made
