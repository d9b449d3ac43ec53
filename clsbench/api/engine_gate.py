"""The gate between two engines that run the same file: on images of a job, before one of them runs it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from clsbench.text import counted

if TYPE_CHECKING:
    from clsbench.card import ModelCard
    from clsbench.exporting.gate import Known
    from clsbench.exporting.gate_images import GateImages
    from clsbench.exporting.gate_paths import ReferencePath
    from clsbench.gate_report import GateReport
    from clsbench.images.entries import Entry
    from clsbench.inference.backend import Backend, DeviceInfo
    from clsbench.inference.engine_choice import TriedEngine

#: Images that engines are compared on: of the job, and at least so many crops of the embedded photos.
COMPARED, CROPS = 64, 8


def sample(entries: Sequence[Entry]) -> GateImages:
    """Images of the job spread evenly, and crops of the embedded photos, which can be read in any case."""
    from clsbench.exporting.gate_images import GateImages, choose_evenly, embedded_photos

    chosen = choose_evenly(entries, count=COMPARED - CROPS)
    return GateImages([*chosen.entries, *embedded_photos(count=COMPARED - len(chosen))])


@dataclass(frozen=True)
class Said:
    """What the reference says of some images; engines are compared with it one by one.

    Args:
        path: The reference.
        device: On which it ran.
        card: Of the file.
        images: They.
        known: Its answers.
    """

    path: ReferencePath
    device: DeviceInfo
    card: ModelCard
    images: GateImages
    known: Known


def said(reference: Backend, card: ModelCard, images: GateImages) -> Said:
    """Ask the reference.

    Args:
        reference: With the file in it.
        card: Of the file.
        images: To compare engines on.

    Raises:
        DataError: if no image can be read.
    """
    from clsbench.exporting.gate import ask
    from clsbench.exporting.gate_paths import file_path

    path = file_path(reference, card)
    return Said(path, reference.device, card, images, ask(path, images))


def held(backend: Backend, reference: Said) -> GateReport:
    """Hold an engine to the reference, by the gate between the precisions in which the two say that they compute.

    Args:
        backend: With the file in it.
        reference: What is right.
    """
    from clsbench.exporting.gate import gate_on, measure
    from clsbench.exporting.gate_paths import InferencePath
    from clsbench.images.loader import ImageLoader

    card = reference.card
    ours, theirs = (device.precision or card.precision for device in (backend.device, reference.device))
    checked = InferencePath(
        loader=ImageLoader(card.transform), backend=backend, classes=len(card.classes),
        temperature=card.temperature or 1.0,
    )  # fmt: skip
    coarse = reference.device if reference.device.tf32 else backend.device
    return measure(
        reference.path, checked, reference.images, gate_on(coarse, ours, theirs), precision=ours,
        known=reference.known, blame=False,
    )  # fmt: skip


def judged(one: TriedEngine, report: GateReport) -> TriedEngine:
    """What the gate found of an engine, and why it is left out, if it is."""
    flips = report.flips or 0
    differ, reason = flips + (report.near_ties or 0), None
    if not report.passed:
        labels = f"other labels for {counted(flips, 'image')}, near ties apart"
        reason = f"left out: {labels if flips else 'its probabilities are too far from those of the reference'}"
    return replace(
        one, images=report.images, agreement=1 - differ / report.images, difference=report.max_probability_difference,
        tolerance=report.tolerance, reason=reason,
    )  # fmt: skip
