"""How many of torch's threads a network is worth.

Handing a small layer to several threads costs more than it saves, and many times more where
other programs want the cores. The choice looks at the work alone and not at the clock, so
that a run with the same seed gives the same weights.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

import torch
from torch import Tensor, nn
from torch.utils.flop_counter import FlopCounterMode

from clsbench.machine import available_cores

#: Floating-point operations of a batch's forward pass below which one thread is enough.
SMALL = 3e7


@contextmanager
def fitting_threads(network: nn.Module, example: Tensor, batch_size: int) -> Iterator[None]:
    """Within, torch uses one thread for a small network on the CPU, and all cores otherwise.

    Args:
        network: In any mode; it is left as it was.
        example: Two inputs (2, …).
        batch_size: Inputs a batch.
    """
    before = torch.get_num_threads()
    small = example.device.type == "cpu" and operations(network, example) / 2 * batch_size < SMALL
    torch.set_num_threads(1 if small else available_cores())
    try:
        yield
    finally:
        torch.set_num_threads(before)


def operations(network: nn.Module, example: Tensor) -> int:
    """Floating-point operations of one forward pass: those of matrix products and convolutions."""
    modes = [(module, module.training) for module in network.modules()]
    with FlopCounterMode(display=False) as counter, torch.inference_mode():
        network.eval()(example)
    for module, training in modes:
        module.training = training
    return int(counter.get_total_flops())
