"""Backend: what the pipeline needs of an inference engine."""

from __future__ import annotations

from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray


class Backend(Protocol):
    """An inference engine with a model in it; see ``register_backends``. Subclass it for the defaults.

    Attributes:
        device: What it truly runs on: ``provider``, ``device`` and whatever proves them.
        streams: How many concurrent calls it profits from.
        batch_size: The N it prefers.
        shares_cores: Whether a call occupies CPU cores that decoding could use.
        threads: How many of them one call occupies.
    """

    device: dict[str, Any]
    streams: int
    batch_size: int
    shares_cores: bool = True
    threads: int = 1

    def __call__(self, images: NDArray[np.uint8]) -> NDArray[np.float32]:
        """uint8 (N, h, w, 3) -> logits float32 (N, K); safe to call from several threads."""

    def allocate(self, shape: tuple[int, ...]) -> NDArray[np.uint8]:
        """Memory for a batch: uint8 zeros of that shape, wherever calls read it fastest."""
        return np.zeros(shape, np.uint8)

    def close(self) -> None:
        """Free what the backend holds."""
