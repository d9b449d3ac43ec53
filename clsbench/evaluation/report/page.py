"""The page: sections from facts, templates around them, everything in one file."""

from __future__ import annotations

import base64
import contextlib
import hashlib
from collections.abc import Mapping
from dataclasses import replace
from functools import cache
from importlib.resources import files
from pathlib import Path
from typing import TYPE_CHECKING, Any

from clsbench.errors import DataError
from clsbench.evaluation.report import formats
from clsbench.evaluation.report.classes import class_table
from clsbench.evaluation.report.confusions import Pair, confused_pairs, square
from clsbench.evaluation.report.diagram import diagram
from clsbench.evaluation.report.drilldown import Cells, drill_down
from clsbench.evaluation.report.examples import images_by_cell
from clsbench.evaluation.report.found import Found, find
from clsbench.evaluation.report.galleries import label_errors, top_losses
from clsbench.evaluation.report.measures import accuracies, means, scores
from clsbench.evaluation.report.provenance import NO_MANIFEST, provenance, speed
from clsbench.evaluation.report.sentences import sentences
from clsbench.evaluation.report.thumbnails import PAIRS, PER_PAIR, Pictures
from clsbench.predictions.table import PredictionTable

if TYPE_CHECKING:
    from jinja2 import Environment

#: Unreadable images that are listed.
ERRORS = 200


def render_report(
    facts: Mapping[str, Any],
    table: PredictionTable | None = None,
    *,
    thumbnails: Mapping[str, bytes] | None = None,
    title: str | None = None,
) -> str:
    """The report as HTML, in one piece: it asks for nothing from elsewhere.

    Args:
        facts: From :func:`clsbench.evaluation.judging.evaluate`, or read from its JSON.
        table: That they come from. Without it the page cannot list the images behind a number.
        thumbnails: Name of an image -> small JPEG, WebP or PNG; see
            :func:`clsbench.evaluation.report.thumbnails.wanted_images`.
        title: Of the page; the predictions file by default.

    Returns:
        Some hundred kilobytes, and never much more than 5 MB, whatever the facts.

    Raises:
        ValueError: if a thumbnail is of another format.
    """
    pictures = Pictures(thumbnails)
    images = images_by_cell(table) if table is not None else {}
    sections = _sections(facts, table, images, pictures)
    page = _environment().get_template("report.html").render(
        title=title or f"Evaluation of {Path(str(facts.get('predictions'))).name}",
        facts=facts,
        **sections,
        data=drill_down(facts, images, pictures),
        left_out=pictures.left_out,
        style=_static("report.css"),
        script=_static("report.js"),
        script_hash=_hash(_static("report.js")),
    )  # fmt: skip
    return page.encode("utf-8", "backslashreplace").decode("utf-8")


def write_report(
    path: Path,
    facts: Mapping[str, Any],
    table: PredictionTable | None = None,
    *,
    thumbnails: Mapping[str, bytes] | None = None,
    title: str | None = None,
) -> None:
    """Write :func:`render_report`'s page, whole or not at all; folders above it are made.

    Args:
        path: The file; replaced if it exists.
        facts: As for :func:`render_report`.
        table: As there.
        thumbnails: As there.
        title: As there.

    Raises:
        DataError: if it cannot be written.
        ValueError: if a thumbnail is of another format.
    """
    page = render_report(facts, table, thumbnails=thumbnails, title=title)
    partial = path.with_name(path.name + ".partial")
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        partial.write_text(page, encoding="utf-8", newline="\n")
        partial.replace(path)
    except OSError as error:
        with contextlib.suppress(OSError):
            partial.unlink(missing_ok=True)
        raise DataError("the report cannot be written", where=path, got=error.strerror or error) from None


def _sections(
    facts: Mapping[str, Any], table: PredictionTable | None, images: Cells, pictures: Pictures
) -> dict[str, Any]:
    """What the sections show: a :class:`Found` each where a metric may be missing. Pictures are taken in this order."""
    losses, labels, pairs = find(facts, "top_losses"), find(facts, "label_errors"), find(facts, "confused_pairs")
    matrix, per_class, reliability = find(facts, "confusion"), find(facts, "per_class"), find(facts, "reliability")
    errors = list(table.errors.items()) if table is not None else None
    return {
        "sentences": sentences(facts),
        "accuracies": accuracies(facts),
        "top1": find(facts, "top1"),
        "scores": scores(facts),
        "means": means(facts),
        "averages": find(facts, "macro"),
        "losses": _with(losses, lambda rows: top_losses(rows, pictures)),
        "pairs": _with(pairs, lambda found: _pairs(facts, found, images, pictures)),
        "labels": _with(labels, lambda found: label_errors(found["images"], pictures)),
        "label_errors": labels,
        "confused": pairs,
        "classes": _with(per_class, lambda _: class_table(facts)),
        "matrix": _with(matrix, square),
        "reliability": _with(reliability, diagram),
        "bins": reliability,
        "ece": find(facts, "ece"),
        "coverage": find(facts, "coverage"),
        "targets": find(facts, "coverage_for_accuracy"),
        "errors": [(formats.name(name), reason) for name, reason in errors[:ERRORS]] if errors is not None else None,
        "speed": speed(facts),
        "no_speed": NO_MANIFEST if not facts.get("model") else "the manifest beside the predictions does not tell it",
        "provenance": provenance(facts, table.manifest.to_json() if table is not None else {}),
        "has_images": bool(images),
        "has_pictures": bool(pictures),
    }


def _with(found: Found, make: Any) -> Found:
    return Found(make(found.value)) if found.there else found


def _pairs(facts: Mapping[str, Any], found: Mapping[str, Any], images: Cells, pictures: Pictures) -> list[Pair]:
    """The pairs, the first of them with pictures."""
    pairs = confused_pairs(facts, found["pairs"])
    for position, pair in enumerate(pairs[:PAIRS]):
        listed = images.get((pair.label, pair.predicted), [])[:PER_PAIR]
        shown = [(formats.name(image.name), pictures.embed(image.name)) for image in listed]
        pairs[position] = replace(pair, pictures=tuple((name, picture) for name, picture in shown if picture))
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
        formats.things,
        formats.name,
    ):
        environment.filters[written.__name__] = written
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
