"""The learning-rate range test: raise the rate step by step and watch the loss.

Source: L. N. Smith, Cyclical Learning Rates for Training Neural Networks, WACV 2017; the
suggestions ``valley`` (ESRI) and ``steep`` as fastai has them.
"""

from __future__ import annotations

import copy
import dataclasses
import math
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from itertools import count
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from clsbench.errors import DataError
from clsbench.images.figures import save_figure
from clsbench.text import counted
from clsbench.training.augmentation import mixing
from clsbench.training.batches import Batches
from clsbench.training.hardware import fitting_threads
from clsbench.training.recipes import stages
from clsbench.training.setup import Setup
from clsbench.training.steps import REPORT, Steps

#: The rates tried, the number of steps, and the memory of the smoothed loss.
LOWEST, HIGHEST, STEPS, SMOOTHING = 1e-7, 10.0, 100, 0.98

#: The test ends where the smoothed loss is this many times its lowest.
DIVERGED = 4.0

#: Fewer steps than this show no curve.
FEWEST = 10


@dataclass(frozen=True)
class RangeTest:
    """The curve and what it suggests.

    Args:
        lrs: Learning rates of the head, float64 (n,), rising.
        losses: Smoothed losses in nats, float64 (n,).
        valley: Two thirds down the longest descent: a good rate for the schedule's highest.
        steep: Where the loss falls fastest.
        stage: What was trained: ``head`` or ``everything``.
        lr_mult: The part of the head's rate that the first layer group had.
    """

    lrs: NDArray[np.float64]
    losses: NDArray[np.float64]
    valley: float
    steep: float
    stage: str
    lr_mult: float = 1.0

    def to_json(self) -> dict[str, Any]:
        """Plain values, as ``find-lr --json`` writes them."""
        return {
            "schema": 1,
            "valley": self.valley,
            "steep": self.steep,
            "stage": self.stage,
            "lr_mult": self.lr_mult,
            "lrs": self.lrs.tolist(),
            "losses": self.losses.tolist(),
        }


def range_test(setup: Setup, *, steps: int = STEPS, unfrozen: bool = False) -> RangeTest:
    """Run the test in the recipe's first stage, and restore the weights.

    Args:
        setup: Network and images.
        steps: Of the optimizer, at most.
        unfrozen: Run it in the last stage instead, in which everything learns.

    Raises:
        DataError: if the loss is NaN or infinite from the start, so that there is no curve.
    """
    classifier, config = setup.classifier, setup.config
    stage = dataclasses.replace(stages(classifier, config)[-1 if unfrozen else 0], lr=1.0)
    train, _, features = setup.batches(stage)
    before = copy.deepcopy(classifier.state_dict())
    tried = Steps(
        classifier, stage, dataclasses.replace(config, schedule="constant"), len(train), features=features,
        class_weights=setup.class_weights(), mix=mixing(config.mixup, config.cutmix, setup.num_classes),
        processes=setup.processes,
    )  # fmt: skip
    setup.observer.stage("learning-rate test", steps)
    # The training that follows draws the random numbers it would have drawn without the test.
    with (
        torch.random.fork_rng(devices=gpus_of(setup.device)),
        fitting_threads(tried.network, tried.example(setup.device), config.batch_size),
    ):
        # Reading a loss makes a GPU wait; a CPU would take steps in vain after the last that counts.
        every = 1 if setup.device.type == "cpu" else REPORT
        rates, losses = _raise_rates(tried, train, steps, setup.observer.advance, every)
    classifier.load_state_dict(before)
    if len(rates) < FEWEST:
        raise DataError(
            "the learning-rate test shows no curve",
            got=f"{counted(len(rates), 'step')} before the loss diverged",
            hint="set --lr to a number",
        )
    found = suggest(np.array(rates), np.array(losses), stage.name, steps=steps)
    return dataclasses.replace(found, lr_mult=stage.lr_mult)


def gpus_of(device: torch.device) -> list[int]:
    """The GPU whose random numbers are drawn, if any: without a list ``fork_rng`` makes a context on every one."""
    return [torch.cuda.current_device()] if device.type == "cuda" else []


def _raise_rates(
    tried: Steps, train: Batches, steps: int, advance: Callable[[int], None], every: int
) -> tuple[list[float], list[float]]:
    """Rates and smoothed losses until the loss diverges, which is looked for after so many steps each time."""
    ratios = [group["lr"] for group in tried.optimizer.param_groups]
    rates = [LOWEST * (HIGHEST / LOWEST) ** (step / max(1, steps - 1)) for step in range(steps)]
    tried.training_mode()
    smoothed: list[float] = []
    unread: list[Tensor] = []
    average = 0.0
    for step, (inputs, labels) in zip(range(steps), _endless(train), strict=False):
        for group, ratio in zip(tried.optimizer.param_groups, ratios, strict=True):
            group["lr"] = rates[step] * ratio
        loss, _, _ = tried.loss(inputs, labels)
        unread.append(tried.processes.sum(loss.detach()) / tried.processes.count)
        if len(unread) == every or step == steps - 1:
            for value in torch.stack(unread).tolist():
                average = SMOOTHING * average + (1 - SMOOTHING) * value
                smooth = average / (1 - SMOOTHING ** (len(smoothed) + 1))
                if not math.isfinite(smooth) or smooth > DIVERGED * min([*smoothed, smooth]):
                    return rates[: len(smoothed)], smoothed
                smoothed.append(smooth)
            unread.clear()
        tried.optimizer.zero_grad(set_to_none=True)
        tried.processes.backward(loss)
        tried.clip()
        tried.stepper.step()
        advance(1)
    return rates[: len(smoothed)], smoothed


def suggest(lrs: NDArray[np.float64], losses: NDArray[np.float64], stage: str, *, steps: int = STEPS) -> RangeTest:
    """Read ``valley`` and ``steep`` off a curve, without its first tenth and its last five steps."""
    start, stop = min(steps // 10, len(lrs) // 3), max(len(lrs) - 5, len(lrs) // 2)
    x, y = lrs[start:stop], losses[start:stop]
    return RangeTest(lrs, losses, _valley(x, y), _steep(x, y), stage)


def _valley(lrs: NDArray[np.float64], losses: NDArray[np.float64]) -> float:
    """The middle of the second third of the longest decreasing subsequence."""
    length = np.ones(len(losses), int)
    for i in range(1, len(losses)):
        higher = losses[:i] > losses[i]
        if higher.any():
            length[i] = length[:i][higher].max() + 1
    end = int(length.argmax())
    start = end - int(length[end]) if length[end] > 1 else 0  # -1 where all of it falls, as in fastai
    third = (end - start) / 3
    return float(lrs[start + int(third) + int(third / 2)])


def _steep(lrs: NDArray[np.float64], losses: NDArray[np.float64]) -> float:
    """Where the loss falls fastest against the logarithm of the rate."""
    return float(lrs[int(np.argmin(np.diff(losses) / np.diff(np.log(lrs))))])


def _endless(batches: Batches) -> Iterator[tuple[Tensor, Tensor]]:
    for number in count(1):
        yield from batches.epoch(number)


def save_range_test(test: RangeTest, file: Path) -> None:
    """Draw the curve with both suggestions into a PNG."""
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure
    from matplotlib.ticker import LogLocator, NullFormatter

    figure = Figure(figsize=(6, 4), layout="constrained")
    FigureCanvasAgg(figure)
    axes = figure.subplots()
    axes.plot(test.lrs, test.losses, color="tab:blue")
    for name, meaning, rate, color, side in (
        ("valley", "halfway along the longest descent", test.valley, "tab:orange", 10),
        ("steep", "where the loss falls fastest", test.steep, "tab:green", 6),
    ):  # one is larger: they may be the same
        loss = np.interp(rate, test.lrs, test.losses)
        axes.plot(rate, loss, "o", color=color, markersize=side, label=f"{name} {rate:.2g}: {meaning}")
    axes.set(xscale="log", xlabel="learning rate of the head", ylabel="smoothed loss (nats)")
    axes.set_title(f"learning-rate range test, {test.stage}", fontsize=11)
    # A label at each power of ten or, where there are few, at 1, 2 and 5.
    few = test.lrs[-1] < 100 * test.lrs[0]
    axes.xaxis.set_major_locator(LogLocator(subs=(1, 2, 5) if few else (1,), numticks=12))
    axes.xaxis.set_major_formatter(lambda rate, _: f"{rate:g}")
    axes.xaxis.set_minor_formatter(NullFormatter())
    axes.ticklabel_format(axis="y", style="plain", useOffset=False)
    axes.grid(alpha=0.3)
    axes.legend(fontsize=8)
    save_figure(figure, file, dpi=120)
