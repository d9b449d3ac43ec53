"""Training images for the ranges of int8, a batch at a time, through the loader that inference uses."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from clsbench.card import INPUT_NAME
from clsbench.errors import DataError, ImageError
from clsbench.images.entries import Entry
from clsbench.images.loader import ImageLoader

#: Images that ranges are taken from by default.
COUNT = 128

#: Images of one batch.
BATCH = 8


@dataclass(frozen=True)
class RangeImages:
    """Images to take ranges from; may be read several times.

    Args:
        entries: Encoded images; those that cannot be read are left out.
        loader: Inference's, for the model's transform.
        heard: Told of each image that has been read.
    """

    entries: Sequence[Entry]
    loader: ImageLoader
    heard: Callable[[int], None] = lambda count: None

    def batches(self, limit: int | None = None) -> Iterator[NDArray[np.uint8]]:
        """uint8 (n, h, w, 3), n up to :data:`BATCH`, of the first ``limit`` entries; one batch is in memory.

        Raises:
            DataError: if no image can be read.
        """
        waiting: list[NDArray[np.uint8]] = []
        reason, given = "no images", 0
        for entry in self.entries[:limit]:
            try:
                waiting.append(self.loader(entry))
            except ImageError as error:
                reason = error.one_line()
            self.heard(1)
            if len(waiting) == BATCH:
                yield np.stack(waiting)
                given, waiting = given + BATCH, []
        if waiting:
            yield np.stack(waiting)
        elif not given:
            raise DataError(
                "none of the images to calibrate with can be read", got=reason,
                hint="name others with --calibrate-images DIR",
            )  # fmt: skip

    def reader(self) -> BatchReader:
        """The same as ONNX Runtime's quantizer reads them."""
        return BatchReader(self.batches())


class BatchReader:
    """What ``onnxruntime.quantization.CalibrationDataReader`` is by its methods."""

    def __init__(self, batches: Iterator[NDArray[np.uint8]]) -> None:
        self._batches = batches

    def get_next(self) -> dict[str, NDArray[np.uint8]] | None:
        """The inputs of the next call; None at the end."""
        batch = next(self._batches, None)
        return None if batch is None else {INPUT_NAME: batch}
