"""One export: translate, prove equal, and only then write."""

from __future__ import annotations

import dataclasses
import tempfile
from collections.abc import Callable
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from clsbench.card import GateReport, ModelCard
from clsbench.errors import ModelError
from clsbench.exporting.gate import Gate, GateImages, check_labels, measure, reference_logits
from clsbench.exporting.onnx_export import to_onnx, write_model
from clsbench.inference.backend import Backend

if TYPE_CHECKING:
    from clsbench.models.classifier import Classifier


@dataclass(frozen=True)
class ExportResult:
    """What an export made.

    Args:
        file: The file; None if it did not pass the gate, so that nothing was written.
        card: What the file says about itself, the gate's report included.
        report: What the gate measured.
    """

    file: Path | None
    card: ModelCard
    report: GateReport

    def to_json(self) -> dict[str, Any]:
        """Plain values, as ``export --json`` writes them: the card is the one that the gate had not seen yet."""
        return {
            "schema": 1,
            "file": str(self.file) if self.file else None,
            "parity": self.report.to_json(),
            "card": dataclasses.replace(self.card, parity=None).to_json(),
        }


def export_model(
    classifier: Classifier,
    card: ModelCard,
    images: GateImages,
    out: Path,
    open_backend: Callable[[Path], Backend],
    gate: Gate | None = None,
) -> ExportResult:
    """Export a network and write the file if it passes the gate.

    Args:
        classifier: The trained network.
        card: What the file is to say about itself; the gate's report is added.
        images: Real images for the gate.
        out: The file; replaced only by one that passed.
        open_backend: Opens a model file as inference does; what it opens is closed again.
        gate: What the file must show.

    Raises:
        ModelError: if the network cannot be translated.
        DataError: if the file cannot be written, or accuracy is to be compared and the images have no labels.
    """
    gate = gate or Gate()
    check_labels(gate, images)
    reference = reference_logits(classifier, images.images)
    model = to_onnx(classifier)
    card = dataclasses.replace(card, feature_dim=classifier.feature_dim)
    with tempfile.TemporaryDirectory() as folder:
        trial = Path(folder) / "trial.onnx"
        write_model(model, card, trial)
        with closing(open_backend(trial)) as backend:
            report = measure(reference, backend, images, gate)
    card = dataclasses.replace(card, parity=report)
    if report.passed:
        write_model(model, card, out)
    return ExportResult(out if report.passed else None, card, report)


def check_same_preprocessing(classifier: Classifier, recorded: ModelCard) -> None:
    """Refuse a network whose preprocessing is not the one it was trained with.

    Raises:
        ModelError: if the model plugin has changed its transform since the run.
    """
    if classifier.transform != recorded.transform:
        raise ModelError(
            "the model's preprocessing has changed since the run",
            got=classifier.transform.to_json(),
            expected=recorded.transform.to_json(),
            hint="install the plugin version that the run was trained with, or train again",
        )
