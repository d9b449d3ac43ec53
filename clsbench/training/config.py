"""TrainConfig: everything that decides how a run trains, in one frozen value."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Literal, get_args

from clsbench.errors import OptionError
from clsbench.models.heads import parse_head
from clsbench.training.augmentation import Policy
from clsbench.training.storage import Cache

_INFINITE = float("inf")

#: Stands for "above 0" in ranges.
TINY = 1e-12

Recipe = Literal["fine-tune", "frozen", "scratch"]
Schedule = Literal["one-cycle", "cosine", "step", "constant"]
Optimizer = Literal["adamw", "adam", "sgd"]
ClassWeights = Literal["none", "balanced"]


@dataclass(frozen=True, kw_only=True)
class TrainConfig:
    """How to train.

    Args:
        recipe: ``fine-tune``: the head first, on the frozen backbone, then everything, while batch
            normalisation keeps its statistics; ``frozen``: the head only; ``scratch``: everything at once.
        epochs: Of everything; of the head for ``frozen``.
        freeze_epochs: Of the head alone, before ``epochs``.
        unfreeze_from: The first layer group that is trained; those before it stay frozen.
        lr: The schedule's highest learning rate, of the head; after a stage of the head alone a
            quarter of it.
        lr_mult: The backbone's first group learns at ``lr * lr_mult``, its last at the root of that.
        schedule: Of the learning rate, by steps of the optimizer.
        optimizer: ``adamw``, ``adam`` or ``sgd`` with momentum 0.9.
        weight_decay: Of weights; biases and normalisation layers get none.
        batch_size: Images a batch.
        accumulate: Batches a step of the optimizer.
        label_smoothing: The part of a target spread over all classes.
        class_weights: ``balanced``: losses weighted by 1 / class frequency.
        mixup: Parameter of Mixup's Beta distribution; 0 for none.
        cutmix: The same for CutMix.
        augment: ``none``, ``basic``, ``rand`` or ``trivial``.
        views: Augmented views of which features are cached while the backbone is frozen; 1 is
            the image as validation sees it; 0 runs the backbone in every epoch.
        ema: Decay of an exponential moving average of the weights, which is then what is
            validated and kept; 0 for none.
        clip_grad: Largest norm of the gradient; 0 for no limit.
        head: ``linear`` or ``mlp:WIDTH``, and ``,dropout=P``.
        patience: Epochs without a better validation before a stage ends early; 0 for no end.
        max_time: Seconds after which training ends; 0 for no end.
        cache: Where decoded images are kept between epochs.
        seed: Of weights, order and augmentation.
        device: ``cpu`` or ``cuda``.

    Raises:
        OptionError: if a value is out of range.
    """

    recipe: Recipe = "scratch"
    epochs: int
    freeze_epochs: int = 0
    unfreeze_from: str | None = None
    lr: float
    lr_mult: float = 1.0
    schedule: Schedule = "one-cycle"
    optimizer: Optimizer = "adamw"
    weight_decay: float = 0.01
    batch_size: int = 32
    accumulate: int = 1
    label_smoothing: float = 0.0
    class_weights: ClassWeights = "none"
    mixup: float = 0.0
    cutmix: float = 0.0
    augment: Policy = "basic"
    views: int = 1
    ema: float = 0.0
    clip_grad: float = 0.0
    head: str = "linear"
    patience: int = 0
    max_time: float = 0.0
    cache: Cache = "auto"
    seed: int = 0
    device: str = "cpu"

    def __post_init__(self) -> None:
        for name, (smallest, below) in _RANGES.items():
            value = getattr(self, name)
            if not smallest <= value < below:
                lowest = "above 0" if smallest == TINY else f"at least {smallest:g}"
                highest = "" if below == _INFINITE else ", at most 1" if below > 1 else f", below {below:g}"
                expected = (lowest + highest) if math.isfinite(value) else "a finite number"
                raise OptionError(f"{name} is out of range", where=_flag(name), got=value, expected=expected)
        for name, choices in _CHOICES.items():
            if getattr(self, name) not in choices:
                raise OptionError(
                    f"unknown {name}", where=_flag(name), got=getattr(self, name), expected=", ".join(choices)
                )
        parse_head(self.head)


_RANGES: dict[str, tuple[float, float]] = {
    "epochs": (1, _INFINITE),
    "freeze_epochs": (0, _INFINITE),
    "lr": (TINY, _INFINITE),
    "lr_mult": (TINY, 1 + 1e-9),
    "weight_decay": (0, _INFINITE),
    "batch_size": (1, _INFINITE),
    "accumulate": (1, _INFINITE),
    "label_smoothing": (0, 1),
    "mixup": (0, _INFINITE),
    "cutmix": (0, _INFINITE),
    "views": (0, _INFINITE),
    "ema": (0, 1),
    "clip_grad": (0, _INFINITE),
    "patience": (0, _INFINITE),
    "max_time": (0, _INFINITE),
    "seed": (0, _INFINITE),
}
_CHOICES = {
    "recipe": get_args(Recipe),
    "schedule": get_args(Schedule),
    "optimizer": get_args(Optimizer),
    "class_weights": get_args(ClassWeights),
    "augment": get_args(Policy),
    "cache": get_args(Cache),
}


def _flag(name: str) -> str:
    return f"--{name.replace('_', '-')}"
