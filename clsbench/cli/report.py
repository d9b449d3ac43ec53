"""``clsbench report``: one self-contained HTML page about a predictions file."""

from __future__ import annotations

import io
from collections.abc import Iterable
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from clsbench.cli.evaluation_inputs import Columns, Images, LabelsFile, Metrics, MinCount
from clsbench.cli.parameters import Json, Quiet, With
from clsbench.text import things

if TYPE_CHECKING:
    from clsbench.cli.terminal import Terminal
    from clsbench.evaluation.judging import Evaluation
    from clsbench.predictions.table import PredictionTable

#: Side of a thumbnail, pixels, and its JPEG quality.
THUMBNAIL, QUALITY = 160, 75


def report(
    predictions: Annotated[Path, typer.Argument(metavar="PREDS", help="A .csv, .jsonl or .parquet of infer's.")],
    out: Annotated[Path | None, typer.Option(metavar="FILE.html", help="The page; PREDS.html if left out.")] = None,
    images: Images = None,
    labels: LabelsFile = None,
    columns: Columns = None,
    metrics: Metrics = None,
    min_count: MinCount = 2,
    options: With = None,
    json: Json = None,
    quiet: Quiet = False,
) -> None:
    """Write a report as one HTML page that works offline; with --images it shows images."""
    from clsbench.cli.evaluation_inputs import check_output, judge, open_table
    from clsbench.cli.terminal import Terminal

    terminal = Terminal(json=json, quiet=quiet)
    out = out or predictions.with_suffix(".html")
    check_output(out, "--out", ".html", [predictions])
    with open_table(terminal, predictions, columns=columns, labels=labels) as table:
        evaluation = judge(terminal, table, metrics, min_count=min_count, options=options)
        write_page(terminal, evaluation, table, out, images)
    terminal.facts({**evaluation.to_json(), "report": str(out)})


def write_page(
    terminal: Terminal, evaluation: Evaluation, table: PredictionTable, out: Path, images: Path | None
) -> None:
    """Render the report, with thumbnails if the folder of the images is given."""
    from clsbench.evaluation.report import wanted_images, write_report

    thumbnails = _thumbnails(terminal, images, wanted_images(evaluation, table)) if images else None
    with terminal.status("writing the report"):
        write_report(out, evaluation, table, thumbnails=thumbnails)
    terminal.print(f"report: {out} ({out.stat().st_size / 1e6:.1f} MB)")


def _thumbnails(terminal: Terminal, root: Path, names: Iterable[str]) -> dict[str, bytes]:
    """Small JPEGs of images below ``root``; those that cannot be read are left out and counted."""
    from clsbench.errors import ClsbenchError, DataError
    from clsbench.images.loader import ImageLoader
    from clsbench.transform import ImageTransform

    if not root.is_dir():
        raise DataError("there is no such folder", where=root, hint="--images names the folder that infer was given")
    loader = ImageLoader(ImageTransform(size=(THUMBNAIL, THUMBNAIL), resize="letterbox", mean=(1.0, 1.0, 1.0)))
    made: dict[str, bytes] = {}
    missing = []
    top = root.resolve()
    for name in names:
        file = root / name
        try:
            if not file.resolve().is_relative_to(top):  # a predictions file may come from a stranger
                raise DataError("the path leads out of the folder")
            made[name] = _jpeg(loader(file))
        except (ClsbenchError, ValueError):  # a NUL in a path is a ValueError
            missing.append(name)
    if missing:
        terminal.warn(f"{things(len(missing), 'image')} cannot be shown, such as {root / missing[0]}")
    return made


def _jpeg(pixels: Any) -> bytes:
    from PIL import Image

    buffer = io.BytesIO()
    Image.fromarray(pixels).save(buffer, "JPEG", quality=QUALITY)
    return buffer.getvalue()
