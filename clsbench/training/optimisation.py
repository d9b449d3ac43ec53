"""Optimizers and learning-rate schedules, all of them torch's.

Sources: I. Loshchilov, F. Hutter, Decoupled weight decay regularization, ICLR 2019 (AdamW);
L. N. Smith, N. Topin, Super-convergence, 2018 (one-cycle); I. Loshchilov, F. Hutter, SGDR,
ICLR 2017 (cosine).
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import cast

import torch
from torch import Tensor
from torch.optim import Optimizer
from torch.optim import lr_scheduler as schedules

from clsbench.training.config import TrainConfig
from clsbench.training.freezing import Group
from clsbench.training.run_state import Part

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


def optimizer_part(optimizer: Optimizer, schedule: schedules.LRScheduler) -> Part:
    """An optimizer and its schedule for the state of a run: values of parameter n as ``n.name``, the rest as it is."""
    saved = optimizer.state_dict()
    values = {f"{n}.{name}": value for n, own in saved["state"].items() for name, value in own.items()}
    groups = [{name: value for name, value in group.items() if name != "params"} for group in saved["param_groups"]]
    # All else of a schedule is made anew from the configuration.
    steps = {name: getattr(schedule, name) for name in ("last_epoch", "_step_count", "_last_lr")}
    return {"groups": groups, "schedule": steps, **values}


def restore_optimizer(optimizer: Optimizer, schedule: schedules.LRScheduler, part: Part) -> None:
    """Let a new optimizer and its schedule go on from what :func:`optimizer_part` gave."""
    state: dict[int, dict[str, object]] = {}
    for name, value in part.items():
        if name not in ("groups", "schedule"):
            number, _, own = name.partition(".")
            state.setdefault(int(number), {})[own] = value
    groups = cast("list[dict[str, object]]", part["groups"])
    # JSON has no tuples.
    groups = [{name: tuple(v) if isinstance(v, list) else v for name, v in group.items()} for group in groups]
    own_groups = optimizer.state_dict()["param_groups"]
    merged = [{**group, "params": own["params"]} for group, own in zip(groups, own_groups, strict=True)]
    optimizer.load_state_dict({"state": state, "param_groups": merged})
    for parameter, values in optimizer.state.items():
        for name, value in values.items():
            if isinstance(value, Tensor) and value.shape == parameter.shape:
                # In the memory layout of the parameter, as if it had been made beside it.
                values[name] = torch.empty_like(parameter, dtype=value.dtype).copy_(value)
    schedule.load_state_dict(cast("dict[str, object]", part["schedule"]))
