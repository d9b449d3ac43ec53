"""What a network says of images: its logits, or its loss and accuracy; in float32, and in all processes together."""

from __future__ import annotations

import numpy as np
import torch
from numpy.typing import NDArray
from torch import nn

from clsbench.training.batches import Batches


def predict(network: nn.Module, batches: Batches) -> NDArray[np.float32]:
    """Logits (N, K) of every readable input in order, in evaluation mode; each process evaluates its part."""
    network.eval()
    with torch.inference_mode():
        found = [(network(inputs).float(), indices) for inputs, indices in batches.indexed(0) if len(indices)]
    # Copied all at once: a GPU is waited for at each copy.
    logits = torch.cat([part for part, _ in found]).cpu().numpy() if found else np.empty((0, 0), np.float32)
    processes = batches.processes
    if not processes.several:
        return logits
    classes = max(processes.union({str(processes.rank): logits.shape[1]}).values())
    rows = np.zeros((len(batches.source.labels), classes), np.float32)
    if found:
        rows[np.concatenate([indices for _, indices in found])] = logits
    processes.fill(rows)
    batches.source.agree(processes)
    return rows[batches.source.indices]


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
