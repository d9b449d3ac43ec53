"""One export: translate, prove equal, and only then write."""

from __future__ import annotations

import dataclasses
import tempfile
from collections.abc import Callable
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from clsbench.card import ModelCard
from clsbench.carried_gate import METADATA_KEY, proof_name
from clsbench.errors import ModelError
from clsbench.exporting.float16 import to_float16
from clsbench.exporting.gate import Gate, Known, ask, check_labels, gate_on, measure, ran_on
from clsbench.exporting.gate_images import GateImages
from clsbench.exporting.gate_paths import InferencePath, ReferencePath, training_path
from clsbench.exporting.onnx_export import to_onnx, write_model
from clsbench.exporting.quantizing.carrying import carry
from clsbench.gate_report import GateReport
from clsbench.images.loader import ImageLoader
from clsbench.inference.backend import Backend

if TYPE_CHECKING:
    from clsbench.exporting.quantizing.result import PrecisionResult
    from clsbench.models.classifier import Classifier


@dataclass(frozen=True)
class ExportResult:
    """What an export made.

    Args:
        file: The file; None if it did not pass the gate, so that nothing was written.
        card: What the file says about itself, the gate's report included.
        report: What the gate measured.
        precision: Of a file that was made of another one: what that cost and brought.
        more: Of an export of several precisions: the others.
    """

    file: Path | None
    card: ModelCard
    report: GateReport
    precision: PrecisionResult | None = None
    more: tuple[ExportResult, ...] = ()

    @property
    def complete(self) -> bool:
        """Whether every file was written, and keeps its budgets."""
        kept = self.file is not None and not (self.precision and self.precision.broken)
        return kept and all(other.complete for other in self.more)

    def to_json(self) -> dict[str, Any]:
        """Plain values, as ``export --json`` writes them: the card is the one that the gate had not seen yet."""
        return {
            "schema": 1,
            "file": str(self.file) if self.file else None,
            **({"code": self.report.code} if self.report.code else {}),
            "parity": self.report.to_json(),
            "card": dataclasses.replace(self.card, parity=None).to_json(),
            **({"precision": self.precision.to_json()} if self.precision else {}),
            **({"more": [other.to_json() for other in self.more]} if self.more else {}),
        }


#: Measures something on a file that passed, and adds it to its card, such as a temperature.
Addition = Callable[[Path, ModelCard], ModelCard]


def export_model(
    classifier: Classifier,
    card: ModelCard,
    images: GateImages,
    out: Path,
    open_backend: Callable[[Path], Backend],
    gate: Gate | None = None,
    *,
    add: Addition | None = None,
    heard: Callable[[int], None] = lambda count: None,
) -> ExportResult:
    """Export a network and write the file if it passes the gate.

    Args:
        classifier: The trained network.
        card: As in :func:`write_proved`; its precision, ``float32`` or ``float16``, is what the file will have.
        images, out, open_backend, gate, add, heard: As in :func:`write_proved`.

    Raises:
        ModelError: if the network cannot be translated or converted.
        DataError: as :func:`write_proved`.
    """
    if gate:
        check_labels(gate, images)
    model, reference = to_onnx(classifier), training_path(classifier, card.transform)
    if card.precision == "float16":
        model = to_float16(model)
    card = dataclasses.replace(card, feature_dim=classifier.feature_dim)
    return write_proved(model, card, reference, images, out, open_backend, gate, add=add, heard=heard)


def write_proved(
    model: Any,
    card: ModelCard,
    reference: ReferencePath,
    images: GateImages,
    out: Path,
    open_backend: Callable[[Path], Backend],
    gate: Gate | None = None,
    *,
    add: Addition | None = None,
    heard: Callable[[int], None] = lambda count: None,
) -> ExportResult:
    """Write a model if it says what its reference says.

    Args:
        model: A ModelProto that keeps the contract.
        card: What the file is to say about itself; the gate's report is added.
        reference: What is right.
        images: Real images for the gate, encoded.
        out: The file; replaced only by one that passed.
        open_backend: Opens a model file as inference does; what it opens is closed again.
        gate: What the file must show; by default what suits its precision and that of its device.
        add: Adds to the card of a file that passed.
        heard: Told how many images the reference has just classified for the gate.

    Raises:
        ModelError: if the model is not valid ONNX.
        DataError: if the file cannot be written, no image can be read, or accuracy is to be compared and the images
            have no labels.
    """
    if card.temperature:
        reference = dataclasses.replace(reference, temperature=card.temperature)
    more: dict[str, str] = {}
    with tempfile.TemporaryDirectory() as folder:
        trial = Path(folder) / "trial.onnx"
        write_model(model, card, trial)
        with closing(open_backend(trial)) as backend:
            inference = InferencePath(
                loader=ImageLoader(card.transform), backend=backend, classes=len(card.classes),
                temperature=reference.temperature,
            )  # fmt: skip
            judge = gate or gate_on(backend.device, "float32", card.precision)
            known = ask(reference, images, heard)
            report = measure(reference, inference, images, judge, precision=card.precision, known=known)
            report = ran_on(backend.device, report)
            if card.precision == "int8" and report.passed:  # of a foreign file, which others read in their own way
                card, more = _carrying(card, reference, inference, known)
        if add and report.passed:
            card = add(trial, card)
    # Names of images are of this machine, and no business of whoever gets the file.
    card = dataclasses.replace(card, parity=dataclasses.replace(report, flipped=()))
    if report.passed:
        write_model(model, card, out, more)
    return ExportResult(out if report.passed else None, card, report)


def _carrying(
    card: ModelCard, reference: ReferencePath, inference: InferencePath, known: Known
) -> tuple[ModelCard, dict[str, str]]:
    """The card of a foreign int8 file that has passed in ONNX Runtime, and the images that it is to carry."""
    name = "onnxruntime"
    found = carry(known.pixels, card, reference.logits, inference.backend, name)
    proof = (proof_name(name, inference.backend.device),)
    return dataclasses.replace(card, proved_on=proof), {METADATA_KEY: found.text}


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
            code="CB-M011",
        )
