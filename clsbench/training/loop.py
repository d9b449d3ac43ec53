"""The training loop: AdamW under a one-cycle schedule, the best epoch kept.

Sources: I. Loshchilov, F. Hutter, Decoupled weight decay regularization, ICLR 2019;
L. N. Smith, N. Topin, Super-convergence, 2018.
"""

from __future__ import annotations

import csv
import time
from collections.abc import Callable
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Protocol

import torch
from safetensors.torch import load_file, save_file
from torch import nn

from clsbench.errors import DeviceError, OptionError
from clsbench.models.classifier import Classifier
from clsbench.runs import Run
from clsbench.training.batches import Batches

#: The backbone of a pretrained network learns this much slower than its new head.
PRETRAINED_BACKBONE_LR = 0.1


@dataclass(frozen=True, kw_only=True)
class TrainConfig:
    """How to train.

    Args:
        epochs: Passes over the training images.
        lr: The schedule's highest learning rate, of the head.
        backbone_lr: A factor on ``lr`` for the backbone.
        weight_decay: Of AdamW.
        device: ``cpu`` or ``cuda``.
    """

    epochs: int
    lr: float
    backbone_lr: float = 1.0
    weight_decay: float = 0.01
    device: str = "cpu"

    def __post_init__(self) -> None:
        for name, smallest in (("epochs", 1), ("lr", 1e-12), ("backbone_lr", 0), ("weight_decay", 0)):
            if getattr(self, name) < smallest:
                raise OptionError(f"{name} is too small", got=getattr(self, name), expected=f"at least {smallest}")


@dataclass(frozen=True)
class Epoch:
    """One line of the log. Losses in nats, accuracy as a fraction, lr at the epoch's end."""

    epoch: int
    train_loss: float
    val_loss: float
    val_accuracy: float
    lr: float
    seconds: float


class Observer(Protocol):
    """Hears how training goes."""

    def step(self, epoch: int, loss: float) -> None:
        """After each batch: the epoch from 1, the running mean loss."""

    def epoch(self, result: Epoch) -> None:
        """After each epoch."""


def choose_device(asked: str) -> str:
    """``cpu`` or ``cuda``; ``auto`` takes CUDA where torch can use it.

    Raises:
        OptionError: for another name.
        DeviceError: if CUDA is asked for and torch cannot use it.
    """
    if asked not in ("auto", "cpu", "cuda"):
        raise OptionError("unknown device", where="--device", got=asked, expected="auto, cpu, cuda")
    usable = torch.cuda.is_available()
    if asked == "cuda" and not usable:
        built = torch.version.cuda
        raise DeviceError(
            "torch cannot use CUDA here",
            where="--device cuda",
            got=f"torch {torch.__version__}, " + (f"built for CUDA {built}" if built else "built without CUDA"),
            hint="check nvidia-smi and the driver's version, or use --device cpu",
        )
    return "cuda" if usable and asked != "cpu" else "cpu"


def fit(
    classifier: Classifier,
    train: Batches,
    val: Batches,
    config: TrainConfig,
    run: Run,
    observer: Observer,
) -> list[Epoch]:
    """Train, write log and checkpoints, and leave the classifier with its best weights.

    The best epoch is the one with the highest validation accuracy, ties broken by the
    lower validation loss.

    Returns:
        One entry an epoch.
    """
    device = torch.device(config.device)
    classifier.to(device)
    grouped = [(name, parameters) for name, parameters in classifier.layer_groups if parameters]
    rates = [config.lr * (1.0 if name == "head" else config.backbone_lr) for name, _ in grouped]
    optimizer = torch.optim.AdamW([{"params": p} for _, p in grouped], weight_decay=config.weight_decay)
    schedule = torch.optim.lr_scheduler.OneCycleLR(optimizer, rates, total_steps=max(2, config.epochs * len(train) + 1))
    history: list[Epoch] = []
    best = (-1.0, 0.0)
    with run.log.open("w", newline="", encoding="utf-8") as file:
        log = csv.DictWriter(file, list(Epoch.__dataclass_fields__))
        log.writeheader()
        for number in range(1, config.epochs + 1):
            started = time.perf_counter()

            def heard(loss: float, number: int = number) -> None:
                observer.step(number, loss)

            train_loss = _train_epoch(classifier, train, number, optimizer, schedule, device, heard)
            val_loss, accuracy = evaluate(classifier, val, device)
            lr = float(schedule.get_last_lr()[-1])
            result = Epoch(number, train_loss, val_loss, accuracy, lr, time.perf_counter() - started)
            history.append(result)
            log.writerow(asdict(result))
            file.flush()
            _save(classifier, run.last)
            if (accuracy, -val_loss) > best:
                best = (accuracy, -val_loss)
                _save(classifier, run.best)
            observer.epoch(result)
    classifier.to("cpu")
    classifier.load_state_dict(load_file(run.best))
    return history


def _train_epoch(
    classifier: Classifier,
    batches: Batches,
    number: int,
    optimizer: torch.optim.Optimizer,
    schedule: torch.optim.lr_scheduler.LRScheduler,
    device: torch.device,
    heard: Callable[[float], None],
) -> float:
    """One pass; returns the mean loss over its images."""
    classifier.train()
    total, count = 0.0, 0
    for images, labels in batches.epoch(number):
        loss = nn.functional.cross_entropy(classifier(images.to(device)), labels.to(device))
        optimizer.zero_grad(set_to_none=True)
        loss.backward()  # type: ignore[no-untyped-call]
        optimizer.step()
        schedule.step()
        total, count = total + float(loss.detach()) * len(labels), count + len(labels)
        heard(total / count)
    return total / count


def evaluate(classifier: Classifier, batches: Batches, device: torch.device) -> tuple[float, float]:
    """Mean cross-entropy in nats, and top-1 accuracy as a fraction, in evaluation mode."""
    classifier.eval()
    loss, correct, count = 0.0, 0, 0
    with torch.inference_mode():
        for images, labels in batches.epoch(0):
            logits, labels = classifier(images.to(device)), labels.to(device)
            loss += float(nn.functional.cross_entropy(logits, labels, reduction="sum"))
            correct += int((logits.argmax(1) == labels).sum())
            count += len(labels)
    return loss / count, correct / count


def _save(classifier: Classifier, file: Path) -> None:
    """Write the weights as safetensors, whole or not at all."""
    partial = file.with_name(file.name + ".partial")
    save_file({name: tensor.contiguous() for name, tensor in classifier.state_dict().items()}, partial)
    partial.replace(file)
