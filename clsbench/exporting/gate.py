"""The parity gate: the file must say what the trained network says, on real images.

The network runs in torch, the file in ONNX Runtime as inference runs it, both on the
same uint8 pixels, at several batch sizes. A file that disagrees is not handed out.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from clsbench.predictions.block import Predictions

if TYPE_CHECKING:
    from clsbench.models.classifier import Classifier

#: The largest probability difference that passes. float32 on two engines differs by some
#: 1e-6; a wrong mean, crop or layer differs by 1e-2 and more.
TOLERANCE = 1e-3

#: Batch sizes tried beside the full batch: one is the exporters' favourite special case.
SMALL_BATCHES = (1, 3)


@dataclass(frozen=True)
class BatchParity:
    """Agreement at one batch size."""

    batch_size: int
    top1_agreement: float
    max_probability_difference: float


@dataclass(frozen=True)
class Parity:
    """What the gate measured.

    Args:
        images: How many images were compared.
        batches: One entry a batch size.
        tolerance: The largest probability difference that passes.
    """

    images: int
    batches: tuple[BatchParity, ...]
    tolerance: float = TOLERANCE

    @property
    def top1_agreement(self) -> float:
        """The smallest over the batch sizes, as a fraction."""
        return min(b.top1_agreement for b in self.batches)

    @property
    def max_probability_difference(self) -> float:
        """The largest over the batch sizes."""
        return max(b.max_probability_difference for b in self.batches)

    @property
    def passed(self) -> bool:
        """Every top-1 the same, and no probability further off than the tolerance."""
        return self.top1_agreement == 1.0 and self.max_probability_difference <= self.tolerance

    def to_json(self) -> dict[str, Any]:
        """Plain values, for the card and ``--json``."""
        return {
            **asdict(self),
            "top1_agreement": self.top1_agreement,
            "max_probability_difference": self.max_probability_difference,
            "passed": self.passed,
        }


def reference_logits(classifier: Classifier, images: NDArray[np.uint8], *, batch: int = 32) -> NDArray[np.float32]:
    """What the trained network says: uint8 (N, h, w, 3) -> float32 (N, K), in evaluation mode."""
    import torch

    classifier.eval()
    with torch.inference_mode():
        parts = [classifier(torch.from_numpy(images[i : i + batch])) for i in range(0, len(images), batch)]
    return np.concatenate([part.numpy() for part in parts])


def measure(
    reference: NDArray[np.float32],
    run: Callable[[NDArray[np.uint8]], NDArray[np.float32]],
    images: NDArray[np.uint8],
    *,
    batch_sizes: Sequence[int] | None = None,
    tolerance: float = TOLERANCE,
) -> Parity:
    """Compare a model file with the network it came from.

    Args:
        reference: Logits (N, K) of the network.
        run: The file, uint8 (n, h, w, 3) -> logits (n, K).
        images: uint8 (N, h, w, 3).
        batch_sizes: 1, 3 and all at once by default.
        tolerance: The largest probability difference that passes.
    """
    sizes = batch_sizes or sorted({min(size, len(images)) for size in (*SMALL_BATCHES, len(images))})
    expected = _probabilities(reference)
    measured = []
    for size in sizes:
        parts = [run(images[i : i + size]) for i in range(0, len(images), size)]
        got = _probabilities(np.concatenate(parts))
        agreement = float((got.argmax(axis=1) == expected.argmax(axis=1)).mean())
        difference = np.abs(got - expected).max()
        measured.append(BatchParity(size, agreement, float(difference) if np.isfinite(difference) else np.inf))
    return Parity(len(images), tuple(measured), tolerance)


def _probabilities(logits: NDArray[np.float32]) -> NDArray[np.float32]:
    count = len(logits)
    return Predictions([""] * count, logits, [None] * count).probabilities
