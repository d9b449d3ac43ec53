"""The average of weights over the steps of training."""

from __future__ import annotations

import copy
from collections import defaultdict

import torch
from torch import Tensor, nn
from torch.optim.swa_utils import get_ema_multi_avg_fn

from clsbench.training.run_state import Part


class Average:
    """An exponential moving average of weights and buffers, warmed up.

    torch's AveragedModel counts steps in a tensor, and a GPU is waited for whenever that is read.

    Args:
        network: Its weights are the first average.
        decay: Of the average, between 0 and 1.

    Source: the decay min(d, (1 + n) / (10 + n)) at step n of TensorFlow's ExponentialMovingAverage.
    """

    def __init__(self, network: nn.Module, decay: float) -> None:
        self.module, self._decay, self._steps = copy.deepcopy(network), decay, 0

    @torch.no_grad()
    def update(self, network: nn.Module) -> None:
        """Take the weights after a step."""
        n, groups = self._steps, defaultdict[torch.dtype, list[tuple[Tensor, Tensor]]](list)
        for mean, now in zip(_tensors(self.module), _tensors(network), strict=True):
            groups[mean.dtype].append((mean, now))
        for pairs in groups.values():
            means, values = (list(tensors) for tensors in zip(*pairs, strict=True))
            if n:
                decay = min(self._decay, (1 + n) / (10 + n))
                get_ema_multi_avg_fn(decay)(means, values, n)  # type: ignore[no-untyped-call]
            else:
                torch._foreach_copy_(means, values)
        self._steps += 1

    def part(self) -> Part:
        """The average and its number of steps, for the state of the run."""
        return {"steps": self._steps, **{f"module.{name}": t for name, t in self.module.state_dict().items()}}

    def restore(self, part: Part) -> None:
        """Go on from what :meth:`part` gave."""
        self.module.load_state_dict({name.removeprefix("module."): v for name, v in part.items() if name != "steps"})
        self._steps = int(part["steps"])  # type: ignore[call-overload]


def _tensors(network: nn.Module) -> list[Tensor]:
    return [tensor.detach() for tensor in (*network.parameters(), *network.buffers())]
