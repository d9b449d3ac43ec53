"""Decoders that take several images at once, such as one on a GPU: what they are given, and how they are counted."""

from __future__ import annotations

import threading
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray

from clsbench.images.decoders import Decoder
from clsbench.images.limits import FREE_PIXELS
from clsbench.text import counted
from clsbench.transform import Geometry, Interpolation

#: What one call of ``decode_batch`` gets at most, unless it is a single image: pixels (of normal images), and bytes.
CALL_PIXELS, CALL_BYTES = FREE_PIXELS, 1 << 26

#: What a decoder says of one row: its pixels, or None for a slot that it has filled, or why it did neither.
Answer = NDArray[np.uint8] | Exception | None


class BatchDecoder(Decoder, Protocol):
    """A decoder that also takes several images at once, for example on a GPU.

    A call of the decoder itself gives one image the same pixels. Of what it ``accepts``, this method is given
    ``admit``, which never waits here: the sizes that headers state are admitted already.
    """

    def decode_batch(
        self,
        data: Sequence[bytes],
        geometries: Sequence[Geometry | None],
        out: Sequence[NDArray[np.uint8] | None],
        *,
        interpolation: Interpolation,
    ) -> Sequence[Answer]:
        """Decode images, and resize them into their slots where it can.

        It is called by several threads at a time, with images of its ``formats`` whose header could be read: together
        at most :data:`CALL_PIXELS` and :data:`CALL_BYTES`, or a single image of up to :data:`CALL_PIXELS`.

        Args:
            data: n encoded images.
            geometries: For each of them the box of its stored pixels (as encoded, whatever its orientation) that
                survives, and the size to resample it to. None for an image that is only to be decoded, since it is
                turned or made grey afterwards.
            out: For each of them a slot in host memory, uint8 (h, w, 3) of the size in its geometry: a part of the
                backend's batch, which is page-locked where the backend says so. Its rows may be further apart than
                its width; its pixels are contiguous. None where there is no geometry.
            interpolation: The filter to resample with, antialiased as Pillow's filters are.

        Returns:
            For each image, in order: None where its slot is filled; or its stored pixels, uint8 (H, W, 3) in host
            memory that later calls leave alone, which are then resized on the CPU; or an exception that says why it
            is neither, and then the CPU decoders read the image.

            Work queued on a stream is done when the call returns: the model may read the slots at once, from
            another thread and on another stream. Slots of a returned call are never written to again.

        Raises:
            Exception: if none of them can be decoded: the CPU decoders read them all.
        """


@dataclass
class Decoded:
    """Who decoded the images of a job; several threads count.

    Args:
        decoder: The one that takes several images at once, qualified.
        images: How many it decoded.
        on_cpu: How many were left to the CPU decoders: other formats, and what it failed at.
        failed: How many of them it failed at.
        reason: Why, of the first.
    """

    decoder: str
    images: int = 0
    on_cpu: int = 0
    failed: int = 0
    reason: str | None = None
    _lock: threading.Lock = field(default_factory=threading.Lock, repr=False, compare=False)

    def count(self, *, images: int = 0, on_cpu: int = 0, failed: int = 0, reason: str | None = None) -> None:
        """Add images, and the reason where there is none yet."""
        with self._lock:
            self.images += images
            self.on_cpu += on_cpu
            self.failed += failed
            self.reason = self.reason or reason

    @property
    def text(self) -> str:
        """One sentence: how many images it decoded, and what became of the others."""
        total = self.images + self.on_cpu
        said = f"{self.decoder} decoded {self.images:,} of {counted(total, 'image')}"
        if not self.on_cpu:
            return said
        failed = f"; it failed at {self.failed:,}, first with: {self.reason}" if self.failed else ""
        return f"{said}, the CPU decoders the others{failed}"

    def to_json(self) -> dict[str, Any]:
        """Plain values."""
        names = ("decoder", "images", "on_cpu", "failed", "reason")
        return {name: getattr(self, name) for name in names if getattr(self, name) is not None}
