"""Processes: the one process or the several that train together, behind one value.

Steps, batches and evaluation ask it which part of a batch is theirs, and sum over all processes what
they have counted. One process that computes in float32 needs nothing from it, and gets exactly what torch
would do without it. Everything else is Accelerate's: device, mixed precision, loss scaling, gradients
summed over processes (DistributedDataParallel).
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import AbstractContextManager, contextmanager, nullcontext
from typing import TYPE_CHECKING, Any, TypeVar

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn
from torch.optim import Optimizer

if TYPE_CHECKING:
    from accelerate import Accelerator

T = TypeVar("T")

#: Bytes that are summed over processes at a time.
PART = 1 << 26


class Processes:
    """This process and those that train with it.

    Every method that talks to the others (``sum``, ``union``, ``from_main``, ``wait``, …) must be called by
    all of them, in the same order.

    Args:
        device: Of this process; ignored where an accelerator has one.
        accelerator: Accelerate's; None for one process in float32.
    """

    def __init__(self, device: str | torch.device = "cpu", accelerator: Accelerator | None = None) -> None:
        self._accelerator = accelerator
        #: The position of this process, from 0, and how many there are.
        self.rank: int = accelerator.process_index if accelerator else 0
        self.count: int = accelerator.num_processes if accelerator else 1
        #: Where this process computes.
        self.device: torch.device = accelerator.device if accelerator else torch.device(device)

    @property
    def is_main(self) -> bool:
        """Whether this process is the one that writes files and prints."""
        return self.rank == 0

    @property
    def several(self) -> bool:
        """Whether there are others."""
        return self.count > 1

    def share(self, indices: NDArray[np.int64]) -> NDArray[np.int64]:
        """The part of a batch (n,) that is this process's: all of it for one process."""
        return np.array_split(indices, self.count)[self.rank] if self.several else indices

    def prepare(self, network: nn.Module, *, exact: bool = False) -> nn.Module:
        """What to call for the forward pass of a training step; the network itself is left as it is.

        Args:
            network: On the device; what of it learns must be settled.
            exact: Compute in float32 whatever the precision.
        """
        if self._accelerator is None:
            return network
        prepared: nn.Module = self._accelerator.prepare_model(Forward(network, self.device, exact=exact))
        return prepared

    def release(self) -> None:
        """Forget what was prepared."""
        if self._accelerator is not None:
            self._accelerator.free_memory()

    def prepare_optimizer(self, optimizer: Optimizer) -> Optimizer:
        """What to take steps with: the optimizer, behind a loss scaler in float16."""
        if self._accelerator is None:
            return optimizer
        prepared: Optimizer = self._accelerator.prepare_optimizer(optimizer)
        return prepared

    def backward(self, loss: Tensor) -> None:
        """Add the gradients of a loss; those of several processes are averaged, unless within :meth:`apart`."""
        if self._accelerator is None:
            loss.backward()  # type: ignore[no-untyped-call]
        else:
            self._accelerator.backward(loss)

    def apart(self, prepared: nn.Module) -> AbstractContextManager[None]:
        """Within, gradients stay in this process: they are averaged with those of the next batch."""
        return self._accelerator.no_sync(prepared) if self._accelerator is not None else nullcontext()

    def clip(self, parameters: list[nn.Parameter], norm: float) -> None:
        """Limit the norm of the gradient."""
        if self._accelerator is None:
            nn.utils.clip_grad_norm_(parameters, norm)
        else:
            self._accelerator.clip_grad_norm_(parameters, norm)

    def sum(self, values: Tensor) -> Tensor:
        """Values summed over the processes, elementwise: as they are for one process."""
        if not self.several or self._accelerator is None:
            return values
        total: Tensor = self._accelerator.reduce(values.clone(), "sum")
        return total

    def fill(self, values: NDArray[np.generic] | Tensor) -> None:
        """Put into an array of zeros, in place, what each of the other processes has put into its own."""
        if not self.several:
            return
        flat = (values if isinstance(values, Tensor) else torch.from_numpy(values)).view(-1)
        step = max(1, PART // flat.element_size())
        for start in range(0, len(flat), step):
            part = flat[start : start + step]
            part.copy_(self.sum(part.to(self.device)))

    def union(self, values: Mapping[str, T]) -> dict[str, T]:
        """The entries that any of the processes has, by their names."""
        if not self.several:
            return dict(values)
        from accelerate.utils import gather_object

        return {name: value for part in gather_object([dict(values)]) for name, value in part.items()}

    def from_main(self, value: T) -> T:
        """What the first process has for a value."""
        if not self.several:
            return value
        from accelerate.utils import broadcast_object_list

        found: T = broadcast_object_list([value])[0]
        return found

    def average_buffers(self, network: nn.Module) -> None:
        """Take the mean over the processes of what is not learnt by gradients, such as statistics of batches."""
        if self.several:
            for buffer in network.buffers():
                if buffer.is_floating_point():
                    buffer.copy_(self.sum(buffer) / self.count)

    def wait(self) -> None:
        """Wait for the others to come to this point."""
        if self._accelerator is not None:
            self._accelerator.wait_for_everyone()

    @contextmanager
    def main_first(self) -> Iterator[None]:
        """Within, the first process goes ahead, and the others follow when it is done."""
        if not self.is_main:
            self.wait()
        yield
        if self.is_main:
            self.wait()

    def state(self) -> dict[str, float]:
        """What the loss scaler has found out; empty but in float16."""
        scaler = self._accelerator.scaler if self._accelerator else None
        return dict(scaler.state_dict()) if scaler else {}

    def restore(self, state: Mapping[str, Any]) -> None:
        """The inverse of :meth:`state`."""
        if state and self._accelerator and self._accelerator.scaler:
            self._accelerator.scaler.load_state_dict(dict(state))


class Forward(nn.Module):
    """A network's forward pass: Accelerate changes the module that it prepares, and this one may be changed.

    Args:
        network: That learns.
        device: Of the network.
        exact: Compute in float32 whatever the precision.
    """

    def __init__(self, network: nn.Module, device: torch.device, *, exact: bool) -> None:
        super().__init__()
        self.network, self._device, self._exact = network, device.type, exact

    def forward(self, inputs: Tensor) -> Tensor:
        """Inputs (n, …) -> outputs (n, …)."""
        with torch.autocast(self._device, enabled=False) if self._exact else nullcontext():
            outputs: Tensor = self.network(inputs)
        return outputs
