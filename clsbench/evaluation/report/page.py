"""The page: sections from an evaluation, templates around them, everything in one file."""

from __future__ import annotations

import base64
import hashlib
from collections.abc import Callable, Mapping
from dataclasses import replace
from functools import cache
from importlib.resources import files
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

from clsbench.evaluation.judging import Evaluation
from clsbench.evaluation.metrics.calibration import Reliability
from clsbench.evaluation.metrics.confusion import ConfusedPairs, Confusion
from clsbench.evaluation.metrics.coverage import Coverage, CoverageTargets
from clsbench.evaluation.metrics.label_errors import LabelErrors
from clsbench.evaluation.metrics.per_class import Averages, PerClass
from clsbench.evaluation.metrics.top_losses import TopLosses
from clsbench.evaluation.report import formats
from clsbench.evaluation.report.classes import class_table
from clsbench.evaluation.report.confusions import Pair, confused_pairs, square
from clsbench.evaluation.report.diagram import bins_text, diagram
from clsbench.evaluation.report.drilldown import Cells, drill_down_json
from clsbench.evaluation.report.examples import images_by_cell
from clsbench.evaluation.report.galleries import label_errors, top_losses
from clsbench.evaluation.report.heatmaps import Heatmaps, strips
from clsbench.evaluation.report.provenance import NO_MANIFEST, provenance, speed
from clsbench.evaluation.report.sentences import sentences
from clsbench.evaluation.report.thumbnails import PAIRS, PER_PAIR, Thumbnails
from clsbench.output_files import whole_file
from clsbench.predictions.table import PredictionTable
from clsbench.predictions.values import Absent, Proportion
from clsbench.text import counted

if TYPE_CHECKING:
    from jinja2 import Environment

#: Unreadable images that are listed.
ERRORS = 200

T = TypeVar("T")
Made = TypeVar("Made")


def render_report(
    evaluation: Evaluation,
    table: PredictionTable | None = None,
    *,
    thumbnails: Mapping[str, bytes] | None = None,
    heatmaps: Heatmaps | None = None,
    title: str | None = None,
) -> str:
    """The report as HTML, in one piece: it asks for nothing from elsewhere.

    Args:
        evaluation: From :func:`clsbench.evaluation.judging.judge`.
        table: That it comes from. Without it the page cannot list the images behind a number.
        thumbnails: Name of an image -> small JPEG, WebP or PNG; see
            :func:`clsbench.evaluation.report.thumbnails.wanted_images`.
        heatmaps: Of :func:`clsbench.evaluation.report.heatmaps.wanted_heatmaps`.
        title: Of the page; the predictions file by default.

    Returns:
        Some hundred kilobytes, and never much more than 5 MB.

    Raises:
        ValueError: if a thumbnail is of another format.
    """
    embedded = Thumbnails(thumbnails)
    images = images_by_cell(table) if table is not None else {}
    sections = _sections(evaluation, table, images, embedded)
    page = _environment().get_template("report.html").render(
        title=title or f"Evaluation of {evaluation.file.name}",
        evaluation=evaluation,
        **sections,
        heatmaps=strips(evaluation, heatmaps),
        heatmaps_by=heatmaps.method if heatmaps else "",
        data=drill_down_json(evaluation, images, embedded),
        left_out=embedded.left_out,
        style=_static("report.css"),
        script=_static("report.js"),
        script_hash=_hash(_static("report.js")),
    )  # fmt: skip
    return page.encode("utf-8", "backslashreplace").decode("utf-8")


def write_report(
    path: Path,
    evaluation: Evaluation,
    table: PredictionTable | None = None,
    *,
    thumbnails: Mapping[str, bytes] | None = None,
    heatmaps: Heatmaps | None = None,
    title: str | None = None,
) -> None:
    """Write :func:`render_report`'s page, whole or not at all; folders above it are made.

    Args:
        path: The file; replaced if it exists. The others as for :func:`render_report`.

    Raises:
        DataError: if it cannot be written.
        ValueError: if a thumbnail is of another format.
    """
    page = render_report(evaluation, table, thumbnails=thumbnails, heatmaps=heatmaps, title=title)
    with whole_file(path, "the report") as unfinished:
        unfinished.write_text(page, encoding="utf-8", newline="\n")


def _sections(
    evaluation: Evaluation, table: PredictionTable | None, images: Cells, thumbnails: Thumbnails
) -> dict[str, object]:
    """What the sections show, an :class:`Absent` where a value is missing. Thumbnails are taken in this order."""
    find, shown = evaluation.find, evaluation.metrics.shown
    errors = list(table.errors.items()) if table is not None else None
    losses, labels = find("top_losses", TopLosses), find("label_errors", LabelErrors)
    confused, reliability = find("confused_pairs", ConfusedPairs), find("reliability", Reliability)
    return {
        "sentences": sentences(evaluation),
        "accuracies": shown("report", "proportion"),
        "top1": find("top1", Proportion),
        "scores": [*shown("report", "score"), *shown("report", "other")],
        "means": [display for display in shown("report", "section") if isinstance(display.value, Averages)],
        "averages": find("macro", Averages),
        "tables": shown("report", "table"),
        "losses": _with(losses, lambda found: top_losses(found, thumbnails)),
        "pairs": _with(confused, lambda found: _pairs(evaluation, found, images, thumbnails)),
        "labels": _with(labels, lambda found: label_errors(found, thumbnails)),
        "label_errors": labels,
        "confused": confused,
        "classes": _with(find("per_class", PerClass), lambda found: class_table(evaluation, found)),
        "matrix": _with(find("confusion", Confusion), square),
        "diagram": _with(reliability, diagram),
        "reliability": reliability,
        "bins": _with(reliability, bins_text),
        "few_bins": isinstance(reliability, Reliability) and reliability.has_few_bins,
        "coverage": find("coverage", Coverage),
        "targets": find("coverage_for_accuracy", CoverageTargets),
        "errors": [(formats.name(name), reason) for name, reason in errors[:ERRORS]] if errors is not None else None,
        "speed": speed(evaluation),
        "no_speed": NO_MANIFEST if not evaluation.manifest.model else "the manifest does not have it",
        "provenance": provenance(evaluation),
        "has_images": bool(images),
        "has_thumbnails": bool(thumbnails),
    }


def _with(found: T | Absent, make: Callable[[T], Made]) -> Made | Absent:
    return found if isinstance(found, Absent) else make(found)


def _pairs(evaluation: Evaluation, found: ConfusedPairs, images: Cells, thumbnails: Thumbnails) -> list[Pair]:
    """The pairs, the first of them with thumbnails."""
    pairs = confused_pairs(evaluation.classes, found.pairs)
    for position, pair in enumerate(pairs[:PAIRS]):
        listed = images.get((pair.label, pair.predicted), [])[:PER_PAIR]
        shown = [(formats.name(image.name), thumbnails.embed(image.name)) for image in listed]
        pairs[position] = replace(pair, thumbnails=tuple((name, made) for name, made in shown if made))
    return pairs


@cache
def _environment() -> Environment:
    from jinja2 import Environment, FunctionLoader, StrictUndefined

    environment = Environment(
        loader=FunctionLoader(lambda name: _resource("templates", name)),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
        finalize=_finalize,
    )
    for written in (
        formats.shown,
        formats.percent,
        formats.fixed,
        formats.figure,
        formats.count,
        formats.name,
        formats.file_name,
        counted,
    ):
        environment.filters[written.__name__] = written
    environment.tests["absent"] = lambda value: isinstance(value, Absent)
    return environment


def _finalize(value: Any) -> Any:
    """Everything a template prints passes here, so that no name can be printed raw."""
    from markupsafe import Markup

    return formats.shown(value) if isinstance(value, str) and not isinstance(value, Markup) else value


def _static(name: str) -> Any:
    """A style sheet or a script of ours, which is not escaped."""
    from markupsafe import Markup

    return Markup(_resource("static", name))


def _resource(folder: str, name: str) -> str:
    return files(__package__).joinpath(folder, name).read_text(encoding="utf-8")


def _hash(script: str) -> str:
    """For the content security policy: this script may run, and no other."""
    return "sha256-" + base64.b64encode(hashlib.sha256(script.encode("utf-8")).digest()).decode("ascii")
