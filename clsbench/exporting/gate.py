"""The gate: a file must say what the trained network says, on real images.

The network runs in torch, the file in ONNX Runtime as inference runs it, both on the
same uint8 pixels, at several batch sizes. A file that does not pass is not handed out.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from clsbench.card import BatchParity, GateReport
from clsbench.errors import DataError, OptionError
from clsbench.predictions.block import Predictions
from clsbench.text import counted

if TYPE_CHECKING:
    from clsbench.models.classifier import Classifier

#: The largest probability difference that passes. float32 on two engines differs by some
#: 1e-6; a wrong mean, crop or layer differs by 1e-2 and more.
TOLERANCE = 1e-3

#: Batch sizes tried beside the full batch: one is the exporters' favourite special case.
SMALL_BATCHES = (1, 3)


@dataclass(frozen=True)
class Gate:
    """What a file must show to pass. By default every top-1 must agree, and every probability nearly.

    Args:
        max_drop: The largest loss of top-1 accuracy on labelled images, in percentage points of the
            network's; single images may then differ. None: every top-1 must be the network's.
        tolerance: The largest difference of a probability; None for no limit.

    Raises:
        OptionError: if a number is negative or not finite.
    """

    max_drop: float | None = None
    tolerance: float | None = TOLERANCE

    def __post_init__(self) -> None:
        for name, value in (("max_drop", self.max_drop), ("tolerance", self.tolerance)):
            if value is not None and not 0 <= value < math.inf:
                raise OptionError(f"the gate's {name} is out of range", got=value, expected="a number of at least 0")


@dataclass(frozen=True)
class GateImages:
    """Real images to compare a file with its network on.

    Args:
        images: uint8 (N, h, w, 3).
        labels: int64 (N,), or None.
    """

    images: NDArray[np.uint8]
    labels: NDArray[np.int64] | None = None

    def __len__(self) -> int:
        return len(self.images)


def reference_logits(classifier: Classifier, images: NDArray[np.uint8], *, batch: int = 32) -> NDArray[np.float32]:
    """What the trained network says: uint8 (N, h, w, 3) -> float32 (N, K), in evaluation mode."""
    import torch

    classifier.eval()
    with torch.inference_mode():
        parts = [classifier(torch.from_numpy(images[i : i + batch])) for i in range(0, len(images), batch)]
    return np.concatenate([part.numpy() for part in parts])


def check_labels(gate: Gate, images: GateImages) -> None:
    """Refuse a gate of accuracy without labels.

    Raises:
        DataError: if ``max_drop`` is set and the images have no labels.
    """
    if gate.max_drop is not None and images.labels is None:
        raise DataError(
            "the gate's max_drop needs labelled images", got=f"{counted(len(images), 'image')} without labels"
        )


def measure(
    reference: NDArray[np.float32],
    run: Callable[[NDArray[np.uint8]], NDArray[np.float32]],
    images: GateImages,
    gate: Gate | None = None,
) -> GateReport:
    """Compare a model file with the network it came from, at batch sizes of 1, 3 and all images.

    Args:
        reference: Logits (N, K) of the network.
        run: The file, uint8 (n, h, w, 3) -> logits (n, K).
        images: N of them.
        gate: What must be shown.

    Raises:
        DataError: if accuracy is to be compared and there are no labels.
    """
    gate = gate or Gate()
    check_labels(gate, images)
    count, labels = len(images), images.labels
    expected = _probabilities(reference)
    batches, accuracies = [], []
    for size in sorted({min(size, count) for size in (*SMALL_BATCHES, count)}):
        got = _probabilities(np.concatenate([run(images.images[i : i + size]) for i in range(0, count, size)]))
        agreement = float((got.argmax(axis=1) == expected.argmax(axis=1)).mean())
        difference = float(np.abs(got - expected).max())
        batches.append(BatchParity(size, agreement, difference if math.isfinite(difference) else math.inf))
        accuracies.append(_accuracy(got, labels))
    accuracy, before = (None, None) if labels is None else (min(accuracies), _accuracy(expected, labels))
    worst = max(b.max_probability_difference for b in batches)
    near = worst < math.inf if gate.tolerance is None else worst <= gate.tolerance
    if gate.max_drop is None or accuracy is None or before is None:
        same = all(b.top1_agreement == 1 for b in batches)
    else:  # a hair more, so that a drop of exactly that many images passes
        same = 100 * (before - accuracy) <= gate.max_drop + 1e-9
    return GateReport(
        images=count, batches=tuple(batches), tolerance=gate.tolerance, passed=near and same,
        accuracy=accuracy, reference_accuracy=before, max_drop=gate.max_drop,
    )  # fmt: skip


def _accuracy(probabilities: NDArray[np.float32], labels: NDArray[np.int64] | None) -> float:
    return math.nan if labels is None else float((probabilities.argmax(axis=1) == labels).mean())


def _probabilities(logits: NDArray[np.float32]) -> NDArray[np.float32]:
    count = len(logits)
    return Predictions([""] * count, logits, [None] * count).probabilities
