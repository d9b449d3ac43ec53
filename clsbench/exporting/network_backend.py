"""A torch network in the place of a model file, to be verified like one."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from clsbench.exporting.gate_paths import REFERENCE_BATCH
from clsbench.inference.backend import Backend, DeviceInfo
from clsbench.machine import available_cores

if TYPE_CHECKING:
    from clsbench.models.classifier import Classifier


class NetworkBackend(Backend):
    """Runs a classifier on the CPU, with its own normalisation.

    Args:
        classifier: On the CPU; it is put into evaluation mode.
    """

    device, streams, batch_size = DeviceInfo(device="cpu", provider="torch"), 1, REFERENCE_BATCH

    def __init__(self, classifier: Classifier) -> None:
        self._classifier, self.threads = classifier.eval(), available_cores()

    def __call__(self, images: NDArray[np.uint8]) -> NDArray[np.float32]:
        """uint8 (N, h, w, 3) -> logits float32 (N, K)."""
        import torch

        with torch.inference_mode():
            logits: NDArray[np.float32] = self._classifier(torch.from_numpy(images)).float().numpy()
        return logits

    def close(self) -> None:
        """Nothing is held."""
