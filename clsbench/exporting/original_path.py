"""A foreign original as the reference of the gate: plain Pillow and numpy, then its own graph."""

from __future__ import annotations

import dataclasses
import tempfile
from collections.abc import Callable
from contextlib import closing
from pathlib import Path

from clsbench.adopting.foreign import Foreign
from clsbench.card import GateReport, ModelCard
from clsbench.exporting.exporter import ExportResult
from clsbench.exporting.gate import Gate, measure
from clsbench.exporting.gate_images import GateImages
from clsbench.exporting.gate_paths import PIXEL_TOLERANCE, InferencePath, ReferencePath, pillow_decode, pillow_resize
from clsbench.exporting.onnx_export import write_model
from clsbench.images.loader import ImageLoader
from clsbench.inference.backend import Backend
from clsbench.transform import ImageTransform


def original_path(foreign: Foreign, transform: ImageTransform) -> ReferencePath:
    """What a foreign file says with the stated preprocessing, in which nothing of infer's has a part.

    Args:
        foreign: The classifier.
        transform: The preprocessing that its card states.
    """
    original = foreign.original
    return ReferencePath(
        decode=pillow_decode(transform),
        resize=pillow_resize(transform),
        normalise=lambda images: original.prepare(images, transform),
        network=lambda prepared: original.logits(prepared, foreign.scores),
        own_normalise=foreign.own_normalisation(transform),
        pixel_tolerance=PIXEL_TOLERANCE,
    )


def adopt_model(
    foreign: Foreign,
    card: ModelCard,
    images: GateImages,
    out: Path,
    open_backend: Callable[[Path], Backend],
    gate: Gate | None = None,
    *,
    heard: Callable[[int], None] = lambda count: None,
) -> ExportResult:
    """Wrap a foreign graph and write the file if it says what the original says.

    Args:
        foreign: The classifier.
        card: What the file is to say about itself; the gate's report is added.
        images: Real images for the gate, encoded.
        out: The file; replaced only by one that passed.
        open_backend: Opens a model file as inference does; what it opens is closed again.
        gate: What the file must show.
        heard: Told how many images the original has just classified.

    Raises:
        ModelError: if the wrapped graph is not valid ONNX.
        DataError: if the file cannot be written, or no image can be read.
    """
    model = foreign.wrapped(card.transform)
    with tempfile.TemporaryDirectory() as folder:
        trial = Path(folder) / "trial.onnx"
        write_model(model, card, trial)
        with closing(open_backend(trial)) as backend:
            inference = InferencePath(loader=ImageLoader(card.transform), backend=backend, classes=len(card.classes))
            report = _measured(foreign, card, inference, images, gate, heard)
    card = dataclasses.replace(card, parity=report)
    if report.passed:
        write_model(model, card, out)
    return ExportResult(out if report.passed else None, card, report)


def _measured(
    foreign: Foreign, card: ModelCard, inference: InferencePath, images: GateImages, gate: Gate | None,
    heard: Callable[[int], None],
) -> GateReport:  # fmt: skip
    reference = original_path(foreign, card.transform)
    return measure(reference, inference, images, gate, precision=card.precision, heard=heard)
