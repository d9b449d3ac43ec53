"""Optimizers and learning-rate schedules, all of them torch's.

Sources: I. Loshchilov, F. Hutter, Decoupled weight decay regularization, ICLR 2019 (AdamW);
L. N. Smith, N. Topin, Super-convergence, 2018 (one-cycle); I. Loshchilov, F. Hutter, SGDR,
ICLR 2017 (cosine).
"""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch.optim import Optimizer
from torch.optim import lr_scheduler as schedules

from clsbench.training.config import TrainConfig
from clsbench.training.freezing import Group

MOMENTUM = 0.9

#: ``step`` divides the learning rate by ten after these parts of the training.
MILESTONES = (0.5, 0.75)


def build_optimizer(groups: Sequence[Group], config: TrainConfig) -> Optimizer:
    """The configured optimizer; weights of two or more dimensions alone are decayed."""
    parts = [
        {
            "params": chosen,
            "lr": group.lr,
            "weight_decay": config.weight_decay if decayed else 0.0,
        }
        for group in groups
        for decayed in (True, False)
        if (chosen := [p for p in group.parameters if (p.ndim > 1) == decayed])
    ]
    if config.optimizer == "sgd":
        return torch.optim.SGD(parts, lr=config.lr, momentum=MOMENTUM, fused=True)
    kind = torch.optim.AdamW if config.optimizer == "adamw" else torch.optim.Adam
    return kind(parts, lr=config.lr, fused=True)


def build_schedule(optimizer: Optimizer, config: TrainConfig, steps: int) -> schedules.LRScheduler:
    """The configured schedule over ``steps`` steps of the optimizer."""
    rates = [group["lr"] for group in optimizer.param_groups]
    if config.schedule == "one-cycle":
        # One more than is taken: the last rate is practically zero.
        return schedules.OneCycleLR(optimizer, rates, total_steps=max(2, steps + 1))
    if config.schedule == "cosine":
        return schedules.CosineAnnealingLR(optimizer, T_max=max(1, steps))
    if config.schedule == "step":
        return schedules.MultiStepLR(optimizer, [max(1, round(part * steps)) for part in MILESTONES])
    return schedules.ConstantLR(optimizer, factor=1.0)
