"""What the conformance kit checks of a decoder that takes several images at once."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from clsbench.images.batch_decoders import BatchDecoder
from clsbench.images.resize import resize
from clsbench.text import counted
from clsbench.transform import Geometry


def check_batches(decoder: BatchDecoder, encoded: bytes, pixels: NDArray[np.uint8]) -> None:
    """Whether :class:`clsbench.BatchDecoder` is kept: each row has its own pixels, slot or exception.

    Args:
        decoder: Takes several images at once.
        encoded: An image in one of its formats.
        pixels: What it shows, uint8 (H, W, 3).

    Raises:
        AssertionError: with what is wrong.
    """

    def require(true: bool, message: str) -> None:
        if not true:
            raise AssertionError(message)

    height, width = pixels.shape[:2]
    box = Geometry((0.0, 0.0, float(width), float(height)), (8, 6))
    slots = np.full((3, 10, 9, 3), 77, np.uint8)  # each within something larger, as in a batch that is padded
    data, geometries = [encoded, encoded[: len(encoded) // 2], encoded], [None, box, box]
    inner = [slot[1:9, 2:8] for slot in slots]
    answers = decoder.decode_batch(data, geometries, [None, *inner[1:]], interpolation="bilinear")
    require(
        len(answers) == len(data),
        f"decode_batch returns {counted(len(answers), 'answer')} for {counted(len(data), 'image')}",
    )
    require(isinstance(answers[1], Exception), "decode_batch returns an exception for a damaged image")
    for answer, slot in zip(answers[::2], inner[::2], strict=True):
        if answer is None:
            difference = np.abs(slot.astype(int) - resize(pixels, box, "bilinear")).max()
            require(difference <= 2, f"decode_batch resizes as Pillow does, not {difference} levels from it")
            slot[:] = 77
        else:
            np.testing.assert_array_equal(answer, pixels)
    slots[1] = 77  # of a row that failed anything goes
    require(answers[0] is not None, "decode_batch returns the pixels of an image without a geometry")
    require(bool((slots == 77).all()), "decode_batch writes into the slots only")
