"""What a network says of images: its logits, or its loss and accuracy; in float32, and in all processes together."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from clsbench.training.batches import Batches

#: Logits that are copied from a device, and judged, at a time.
PART = 1 << 22


def predict(network: nn.Module, batches: Batches) -> Iterator[tuple[NDArray[np.float32], NDArray[np.int64]]]:
    """Logits (n, K) of all readable inputs in order, in evaluation mode, with the indices (n,) of these inputs.

    They come in parts of some :data:`PART` numbers: all of 10,000 images and as many classes, and what is made of them,
    would take gigabytes. Of several processes each gets those of its own images.
    """
    network.eval()
    logits: list[Tensor] = []
    indices: list[NDArray[np.int64]] = []
    with torch.inference_mode():
        for inputs, rows in batches.indexed(0):
            if not len(rows):  # this process's part of a small batch
                continue
            logits.append(network(inputs).float())
            indices.append(rows)
            if sum(part.numel() for part in logits) >= PART:
                yield torch.cat(logits).cpu().numpy(), np.concatenate(indices)
                logits, indices = [], []
        if logits:  # copied together: a GPU is waited for at each copy
            yield torch.cat(logits).cpu().numpy(), np.concatenate(indices)


def validate(network: nn.Module, batches: Batches) -> tuple[float, float]:
    """Mean cross-entropy in nats, and top-1 accuracy as a fraction, in evaluation mode."""
    loss = torch.zeros((), dtype=torch.float64, device=batches.device)
    correct, count = torch.zeros((), dtype=torch.int64, device=batches.device), 0
    network.eval()
    with torch.inference_mode():
        for inputs, labels in batches.epoch(0):
            if not len(labels):  # this process's part of a small batch
                continue
            logits = network(inputs)
            loss += nn.functional.cross_entropy(logits, labels, reduction="sum")
            correct += (logits.argmax(1) == labels).sum()
            count += len(labels)
    if not batches.processes.several:
        return float(loss) / count, int(correct) / count
    images = torch.tensor(float(count), dtype=torch.float64, device=batches.device)
    loss_sum, right, total = batches.processes.sum(torch.stack([loss, correct.double(), images])).tolist()
    return loss_sum / total, right / total
