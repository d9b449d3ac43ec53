"""One export: translate, prove equal, and only then write."""

from __future__ import annotations

import dataclasses
import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from clsbench.card import ModelCard
from clsbench.errors import ModelError
from clsbench.exporting.gate import Parity, measure, reference_logits
from clsbench.exporting.onnx_export import to_onnx, write_model
from clsbench.inference.backend import Backend

if TYPE_CHECKING:
    from clsbench.models.classifier import Classifier


def export_model(
    classifier: Classifier,
    card: ModelCard,
    images: NDArray[np.uint8],
    out: Path,
    open_backend: Callable[[Path], Backend],
) -> Parity:
    """Export a network and write the file if it passes the parity gate.

    Args:
        classifier: The trained network.
        card: What the file is to say about itself; the gate's result is added.
        images: Real images for the gate, uint8 (N, h, w, 3).
        out: The file; replaced only by one that passed.
        open_backend: Opens a model file as inference does.

    Returns:
        What the gate measured; where ``passed`` is false nothing was written.

    Raises:
        ModelError: if the network cannot be translated or the file not written.
    """
    reference = reference_logits(classifier, images)
    model = to_onnx(classifier)
    with tempfile.TemporaryDirectory() as folder:
        trial = Path(folder) / "trial.onnx"
        write_model(model, card, trial)
        backend = open_backend(trial)
        parity = measure(reference, backend, images)
        backend.close()
    if parity.passed:
        partial = out.with_name(out.name + ".partial")
        write_model(model, dataclasses.replace(card, parity=parity.to_json()), partial)
        partial.replace(out)
    return parity


def check_same_preprocessing(classifier: Classifier, recorded: ModelCard) -> None:
    """Refuse a network whose preprocessing is not the one it was trained with.

    Raises:
        ModelError: if the model plugin has changed its transform since the run.
    """
    if classifier.transform != recorded.transform:
        raise ModelError(
            "the model's preprocessing has changed since it was trained",
            got=classifier.transform.to_json(),
            expected=recorded.transform.to_json(),
            hint="install the plugin version of the run, or train again",
        )
