"""From numpy to the network's device, so that a GPU is never waited for, and what may stay there between epochs."""

from __future__ import annotations

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

#: The part of a GPU's free memory that images, or features, take at most.
DEVICE_SHARE = 0.25


def to_tensor(array: NDArray[np.generic], device: torch.device) -> Tensor:
    """An array on a device: without a copy where it lies on the CPU, and without waiting for one where it does not."""
    tensor = torch.from_numpy(np.ascontiguousarray(array))
    if device.type == "cuda":
        tensor = tensor.pin_memory()  # a copy of pageable memory is waited for
    return tensor.to(device, non_blocking=True)


def fits_on_device(size: int, device: torch.device) -> bool:
    """Whether so many bytes are to stay on a device: not on the CPU, where they are already."""
    return device.type == "cuda" and size <= DEVICE_SHARE * torch.cuda.mem_get_info(device)[0]
