"""How fast the predictions were made, and where everything came from, as far as the manifest says.

A manifest is a file that anyone may have edited: whatever is not as expected is left out.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from clsbench.evaluation.judging import Evaluation
from clsbench.evaluation.report.formats import count, fixed, name, percent
from clsbench.predictions.manifest import ModelIdentity

#: Why there is no throughput.
NO_MANIFEST = "the predictions have no manifest beside them (FILE.json), which infer writes"

Rows = list[tuple[str, str]]


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
    found = evaluation.manifest.throughput
    if found is None:
        return None
    wanted = {
        "images/s overall": fixed(found.images_per_second, 1),
        "images/s in steady state": fixed(found.steady_images_per_second, 1),
        "limit, images/s": fixed(found.limit, 1),
        "of the limit": percent(found.fraction_of_limit),
        "seconds": fixed(found.seconds, 1),
    }
    longest = max(found.stages.values(), default=0) or 1
    return Speed(
        [(title, text) for title, text in wanted.items() if text != "–"],
        tuple(Stage(name(stage), fixed(ms, 2), 100 * ms / longest) for stage, ms in found.stages.items()),
        found.verdict,
    )


def provenance(evaluation: Evaluation) -> list[tuple[str, Rows]]:
    """Titled lists of names and values, without those that are not known."""
    manifest = evaluation.manifest
    model = manifest.model or ModelIdentity()
    card = model.card
    groups: dict[str, dict[str, object]] = {
        "Model": {
            "file": model.file,
            "SHA-256": model.sha256,
            "network": card.get("model"),
            "classes": len(evaluation.classes),
            "precision": card.get("precision"),
            "temperature": card.get("temperature"),
            "abstains below": card.get("abstain_below"),
            "preprocessing": card.get("transform"),
            "training": card.get("training"),
            "parity": card.get("parity"),
            "exported by clsbench": card.get("clsbench_version"),
        },
        "Predictions": {
            "file": str(evaluation.file),
            "images": manifest.images,
            "started": manifest.started,
            "device": manifest.device,
            "options": manifest.options,
            "labels": manifest.labels.source if manifest.labels else None,
            "machine": manifest.machine,
            "made by clsbench": manifest.clsbench,
            "evaluated by clsbench": evaluation.clsbench,
        },
    }
    return [
        (title, [(key, _brief(value)) for key, value in rows.items() if _told(value)]) for title, rows in groups.items()
    ]


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
