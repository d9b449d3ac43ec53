"""How fast the predictions were made, and where everything came from, as far as the manifest says.

A manifest is a file that anyone may have edited: whatever is not as expected is left out.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from clsbench.evaluation.judging import Evaluation
from clsbench.evaluation.report.formats import count, fixed, name, number, percent

#: Why there is no throughput.
NO_MANIFEST = "the predictions have no manifest beside them (FILE.json), which infer writes"

Rows = list[tuple[str, str]]

_STAGE = "_ms_per_image"


@dataclass(frozen=True)
class Stage:
    """A stage of the pipeline: milliseconds an image as written, and the share of the longest, 0 to 100."""

    name: str
    text: str
    part: float


@dataclass(frozen=True)
class Speed:
    """Throughput: titles and numbers, stages and the verdict."""

    rows: Rows
    stages: tuple[Stage, ...]
    verdict: str | None


def speed(evaluation: Evaluation) -> Speed | None:
    """The throughput of the run that made the predictions; None where it is not known."""
    found = _mapping(evaluation.manifest.get("throughput"))
    if not found:
        return None
    wanted = {
        "images/s overall": fixed(number(found.get("images_per_second")), 1),
        "images/s in steady state": fixed(number(found.get("steady_images_per_second")), 1),
        "limit, images/s": fixed(number(found.get("limit")), 1),
        "of the limit": percent(number(found.get("fraction_of_limit"))),
        "seconds": fixed(number(found.get("seconds")), 1),
    }
    keys = [key for key in found if isinstance(key, str) and key.endswith(_STAGE)]
    times = {key.removesuffix(_STAGE): number(found[key]) for key in keys}
    stages = {stage: ms for stage, ms in times.items() if ms is not None and ms >= 0}
    longest = max(stages.values(), default=0) or 1
    verdict = found.get("verdict")
    return Speed(
        [(title, text) for title, text in wanted.items() if text != "–"],
        tuple(Stage(name(stage), fixed(ms, 2), 100 * ms / longest) for stage, ms in stages.items()),
        verdict if isinstance(verdict, str) else None,
    )


def provenance(evaluation: Evaluation) -> list[tuple[str, Rows]]:
    """Titled lists of names and values, without those that are not known."""
    manifest = evaluation.manifest
    model = _mapping(manifest.get("model"))
    card = _mapping(model.get("card"))
    groups = {
        "Model": {
            "file": model.get("file"),
            "SHA-256": model.get("sha256"),
            "network": card.get("model"),
            "classes": len(evaluation.classes),
            "precision": card.get("precision"),
            "temperature": card.get("temperature"),
            "preprocessing": card.get("transform"),
            "training": card.get("training"),
            "parity": card.get("parity"),
            "exported by clsbench": card.get("clsbench_version"),
        },
        "Predictions": {
            "file": str(evaluation.file),
            "images": manifest.get("images"),
            "started": manifest.get("started"),
            "device": manifest.get("device"),
            "options": manifest.get("options"),
            "labels": _mapping(manifest.get("labels")).get("source"),
            "machine": manifest.get("machine"),
            "made by clsbench": manifest.get("clsbench"),
            "evaluated by clsbench": evaluation.clsbench,
        },
    }
    return [
        (title, [(key, _brief(value)) for key, value in rows.items() if _told(value)]) for title, rows in groups.items()
    ]


def _mapping(value: object) -> Mapping[str, object]:
    return value if isinstance(value, Mapping) else {}


def _told(value: object) -> bool:
    return value is not None and value != "" and value != {} and value != []


def _brief(value: object, deep: bool = False) -> str:
    """A value on one line, of bounded length."""
    if isinstance(value, Mapping):
        told = [(str(key), item) for key, item in value.items() if _told(item)]
        text = (", " if deep else " · ").join(f"{key} {_brief(item, True)}" for key, item in told[:20])
        return name(f"({text})") if deep else "".join(text[:600])
    if isinstance(value, Sequence) and not isinstance(value, str | bytes):
        return name(", ".join(_brief(item, True) for item in value[:12]) + (", …" if len(value) > 12 else ""))
    if isinstance(value, bool):
        return "yes" if value else "no"
    if isinstance(value, int):
        return count(value)
    return f"{value:.6g}" if isinstance(value, float) else name(value)
