"""Processes: the one process or the several that train together, behind one value.

Steps, batches and evaluation ask it which part of a batch is theirs, and sum over all processes what
they have counted. One process that computes in float32 needs nothing from it, and gets exactly what torch
would do without it. Everything else is Accelerate's: device, mixed precision, loss scaling, gradients
summed over processes (DistributedDataParallel).
"""

from __future__ import annotations

import re
import warnings
from collections.abc import Callable, Iterator, Mapping
from contextlib import AbstractContextManager, contextmanager, nullcontext
from typing import TYPE_CHECKING, TypeVar

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn
from torch.distributed import DistError
from torch.optim import Optimizer

from clsbench.errors import DeviceError
from clsbench.training.config import Precision

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
        device: Of this process.
        rank: The position of this process, from 0.
        count: How many there are, on all machines.
        local_count: How many there are on this machine.
        who_ended: Which of the others has ended, if that is known.
    """

    def __init__(
        self,
        device: str | torch.device = "cpu",
        *,
        rank: int = 0,
        count: int = 1,
        local_count: int = 1,
        who_ended: Callable[[], str | None] = lambda: None,
    ) -> None:
        self.device, self.rank, self.count, self.local_count = torch.device(device), rank, count, local_count
        self._who_ended = who_ended
        self._accelerator: Accelerator | None = None

    def compute_in(self, precision: Precision) -> None:
        """Decide how forward passes of training compute; weights, and all else, are float32 in any case.

        Args:
            precision: ``fp32``, or one that autocast takes on this device.
        """
        self._accelerator = None
        if not self.several and precision == "fp32":
            return
        from accelerate import Accelerator, DistributedDataParallelKwargs
        from accelerate.state import AcceleratorState

        # Accelerate keeps its state for the whole program, which may have trained in another precision before.
        AcceleratorState._reset_state(reset_partial_state=not self.several)
        self._accelerator = Accelerator(
            cpu=self.device.type == "cpu",
            mixed_precision="no" if precision == "fp32" else precision,
            kwargs_handlers=[DistributedDataParallelKwargs(broadcast_buffers=False)],
        )

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

    def prepare(
        self, network: nn.Module, *, exact: bool = False, compiled: Callable[[str], None] | None = None
    ) -> nn.Module:
        """What to call for the forward pass of a training step; the network itself is left as it is.

        Args:
            network: On the device; what of it learns must be settled.
            exact: Compute in float32 whatever the precision.
            compiled: Compile it; called with the reason where that fails.
        """
        if self._accelerator is None:
            return Forward(network, self.device, exact=exact, compiled=compiled) if compiled else network
        with warnings.catch_warnings():
            # torch 2.14 calls broadcast_buffers by another name, which older ones and Accelerate do not know.
            warnings.simplefilter("ignore", FutureWarning)
            prepared: nn.Module = self._accelerator.prepare_model(
                Forward(network, self.device, exact=exact, compiled=compiled)
            )
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
        if not self.several:
            return values
        from accelerate.utils import reduce

        total: Tensor = reduce(values.clone(), "sum")
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
        if self.several:
            from accelerate.utils import wait_for_everyone

            wait_for_everyone()

    @contextmanager
    def telling(self) -> Iterator[None]:
        """Within, an error of the connection to another process says which process has ended, where that is known."""
        try:
            yield
        except RuntimeError as error:
            if not self.several or not (isinstance(error, DistError) or re.search("gloo|nccl|TCPStore", str(error))):
                raise
            raise LostProcess(
                self._who_ended() or "another process of this training has ended",
                where=f"process {self.rank} of {self.count}",
                hint="what it printed says why; killed by SIGKILL it may have used up the memory",
            ) from error

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

    def restore(self, state: Mapping[str, object]) -> None:
        """The inverse of :meth:`state`."""
        if state and self._accelerator and self._accelerator.scaler:
            self._accelerator.scaler.load_state_dict(dict(state))


class LostProcess(DeviceError):
    """A process that trains with this one has ended."""


class Forward(nn.Module):
    """A network's forward pass: Accelerate changes the module that it prepares, and this one may be changed.

    Args:
        network: That learns.
        device: Of the network.
        exact: Compute in float32 whatever the precision.
        compiled: Compile it; called with the reason where that fails.
    """

    def __init__(
        self, network: nn.Module, device: torch.device, *, exact: bool, compiled: Callable[[str], None] | None
    ) -> None:
        super().__init__()
        self.network, self._device, self._exact = network, device.type, exact
        # A list, so that it is no module of this one: its parameters are the network's.
        self._compiled = [torch.compile(network)] if compiled else []
        self._failed = compiled

    def forward(self, inputs: Tensor) -> Tensor:
        """Inputs (n, …) -> outputs (n, …)."""
        with torch.autocast(self._device, enabled=False) if self._exact else nullcontext():
            if self._compiled:
                return self._call_compiled(inputs)
            outputs: Tensor = self.network(inputs)
        return outputs

    def _call_compiled(self, inputs: Tensor) -> Tensor:
        """Through the compiled network, which is compiled by its first call, or as it is where that fails."""
        outputs: Tensor
        try:
            outputs = self._compiled[0](inputs)
        except Exception as error:  # the compiler's own, or any tool's that it calls
            if self._failed is None:
                raise
            reason = str(error).strip().partition("\n")[0]
            self._failed(f"the network is not compiled, and trains without: {type(error).__name__}: {reason}")
            self._compiled.clear()
            outputs = self.network(inputs)
        self._failed = None
        return outputs
