"""What a run's best.safetensors says about itself: which epoch's weights it holds.

run.json is written after the weights, so a kill between the two leaves it one write behind; what the weights say of
themselves came to the disk with them. Reads a header of JSON, and no tensor.
"""

from __future__ import annotations

import dataclasses
import json
from dataclasses import dataclass
from pathlib import Path

from clsbench.errors import ModelError
from clsbench.json_fields import parse_object, read_fields
from clsbench.run_record import RunRecord, RunResult

#: The metadata that names the epoch: a line of the log as JSON.
BEST_EPOCH = "epoch"

#: The longest header that is read, bytes.
LONGEST = 1 << 24


def with_best(record: RunRecord, weights: Path) -> RunRecord:
    """The record of a run that has not ended, with the epoch whose weights lie beside it as its best.

    Args:
        record: The content of run.json.
        weights: best.safetensors; it need not exist, nor say anything.
    """
    if record.status != "running" or (epoch := _epoch(weights)) is None:
        return record
    result = record.result
    if result is not None and result.best_epoch == epoch.epoch:
        return record
    found = RunResult(
        epochs=max(epoch.epoch, result.epochs if result else 0),
        best_epoch=epoch.epoch,
        val_accuracy=epoch.val_accuracy,
        val_loss=epoch.val_loss,
        test_accuracy=None,
        seconds=epoch.elapsed,
    )
    if result is not None:
        found = dataclasses.replace(found, head_loaded=result.head_loaded, unreadable=result.unreadable)
    return dataclasses.replace(record, result=found)


@dataclass(frozen=True)
class _Epoch:
    """What the weights say of their epoch: its number, accuracy, loss in nats, and seconds since the beginning."""

    epoch: int
    val_accuracy: float
    val_loss: float
    elapsed: float


def _epoch(weights: Path) -> _Epoch | None:
    """The epoch that the weights are of; None where they do not say it."""
    try:
        with weights.open("rb") as file:
            size = int.from_bytes(file.read(8), "little")
            header = json.loads(file.read(size)) if size <= LONGEST else {}
        line = header["__metadata__"][BEST_EPOCH]
        return read_fields(_Epoch, parse_object(line, what="an epoch"), what="an epoch")
    except (OSError, ValueError, LookupError, TypeError, RecursionError, ModelError):
        return None
