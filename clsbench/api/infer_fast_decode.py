"""Whether a job decodes large JPEGs at a reduced size: as the user says, or as a sample of its own images shows."""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal

from clsbench.api.observer import Observer
from clsbench.errors import DataError, OptionError
from clsbench.text import counted

if TYPE_CHECKING:
    from clsbench.gate_report import GateReport
    from clsbench.images.entries import Entry
    from clsbench.inference.job import JobSpec
    from clsbench.predictions.job import JobIdentity
    from clsbench.predictions.manifest import JsonObject

#: Jobs of fewer images decode every pixel: the comparison takes as long as some dozens of them.
WORTH_COMPARING = 1000

#: Images looked at for their size; and how many are compared: one in 50, but at least and at most.
LOOKED_AT, LEAST, MOST = 8, 32, 64


@dataclass(frozen=True)
class FastDecode:
    """What was decided.

    Args:
        used: Whether large JPEGs are decoded smaller.
        why: In one sentence; None where the user decided, or there was nothing to decide.
        report: What the gate measured, if it was asked.
    """

    used: bool
    why: str | None = None
    report: GateReport | None = None

    def to_json(self) -> JsonObject | None:
        """For the manifest; None where there was nothing to decide."""
        if self.why is None:
            return None
        gate = {"gate": self.report.to_json()} if self.report else {}
        return {"asked": "auto", "used": self.used, "why": self.why, **gate}


def decide(
    spec: JobSpec,
    entries: Sequence[Entry],
    asked: bool | Literal["auto"],
    *,
    executor: str,
    then: JobIdentity | None,
    observer: Observer,
) -> FastDecode:
    """Settle ``fast_decode``, and say what was found.

    Where it is ``auto``, a job of many large JPEGs sends some of them through decoding, resizing and the model both
    ways. They are decoded smaller if no label changes and the gate passes: probabilities may move as far as they may
    by another library for decoding and resizing (:data:`clsbench.exporting.gate_paths.PIXEL_TOLERANCE`). A job that is
    continued keeps what was decided. Shards look at the same images, those of the whole job.

    Args:
        spec: The job.
        entries: Of the whole job.
        asked: By the user.
        executor: What runs the job; only the built-in ones run where this is decided.
        then: The job that is continued, if one is.
        observer: Hears what was decided, and why.

    Raises:
        OptionError: if ``asked`` is something else.
        ClsbenchError: if the model cannot be run.
    """
    if isinstance(asked, bool):
        return FastDecode(asked)
    if asked != "auto":
        raise OptionError("unknown fast_decode", got=repr(asked), expected="True, False or 'auto'")
    if then is not None:
        return FastDecode("fast-decode" in then.options, "as the job that is continued has it")
    if len(entries) < WORTH_COMPARING or spec.decoders or executor not in ("threads", "serial"):
        return FastDecode(False)
    found = _compared(spec, entries, observer)
    if found.why:
        observer.note(f"fast decoding is {'on' if found.used else 'off'}: {found.why}")
    return found


def _compared(spec: JobSpec, entries: Sequence[Entry], observer: Observer) -> FastDecode:
    """Both ways on some of the images, if most of them would be decoded smaller."""
    from clsbench.exporting.gate import measure
    from clsbench.exporting.gate_images import choose_evenly
    from clsbench.exporting.gate_paths import PIXEL_TOLERANCE, InferencePath, file_path
    from clsbench.images.loader import ImageLoader
    from clsbench.inference.backend import open_backend

    card, transform = spec.card, spec.card.transform
    exact = ImageLoader(transform, max_pixels=spec.max_pixels)
    if not exact.would_shrink(choose_evenly(entries, count=LOOKED_AT).entries):
        return FastDecode(False)
    images = choose_evenly(entries, count=max(LEAST, min(MOST, len(entries) // 50)))
    observer.stage("comparing fast decoding", len(images))
    fast = ImageLoader(transform, fast_decode=True, max_pixels=spec.max_pixels)
    with open_backend(spec.backend, spec.model, spec.device) as backend:
        reference = dataclasses.replace(file_path(backend, card), decode=exact.pixels, pixel_tolerance=PIXEL_TOLERANCE)
        inference = InferencePath(
            loader=fast, backend=backend, classes=len(card.classes), temperature=card.temperature or 1.0
        )
        try:
            report = measure(reference, inference, images, heard=observer.advance)
        except DataError as error:
            return FastDecode(False, error.one_line())
    changed = (report.flips or 0) + (report.near_ties or 0)
    moved = f"probabilities move by at most {report.max_probability_difference:.2g} ({PIXEL_TOLERANCE:g} are allowed)"
    labels = f"{changed or 'no'} label{'' if changed == 1 else 's'} of {counted(report.images, 'image')} change"
    return FastDecode(report.passed and not changed, f"{labels}{'s' if changed == 1 else ''}, {moved}", report)
