"""ImageLoader: the one path from an image to the network's input pixels.

Training's validation, the parity gate, inference and evaluation all call it.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from clsbench.errors import ClsbenchError, DataError, PluginError
from clsbench.images.decoders import Decoder, PillowDecoder, Scratch, SimplejpegDecoder, orientation, upright
from clsbench.images.formats import FORMATS, sniff
from clsbench.images.resize import resize
from clsbench.transform import Geometry, ImageTransform

#: A file, encoded bytes, or decoded pixels uint8 (H, W, 3).
ImageSource = Path | str | bytes | NDArray[np.uint8]


def default_decoders() -> list[Decoder]:
    """The built-in decoders, fastest first; Pillow last, as the fallback for everything."""
    return [SimplejpegDecoder(), PillowDecoder()]


class ImageLoader:
    """Reads, decodes and resizes images by one transform.

    Args:
        transform: The specification to follow.
        decoders: Tried in order on the formats they read, before the built-in ones.
        fast_decode: Decode large JPEGs at a half, quarter or eighth of their size, never
            below twice the target: much faster, and not quite the same pixels.

    >>> loader = ImageLoader(ImageTransform(size=(2, 2)))
    >>> loader(np.zeros((4, 6, 3), np.uint8)).shape
    (2, 2, 3)
    """

    def __init__(
        self, transform: ImageTransform, decoders: Sequence[Decoder] = (), *, fast_decode: bool = False
    ) -> None:
        self.transform, self.fast_decode = transform, fast_decode
        self._scratch = Scratch()
        self.decoders = [*decoders, *default_decoders()]
        self._padding = np.round(np.array(transform.mean) * 255).clip(0, 255).astype(np.uint8)

    def __call__(self, source: ImageSource) -> NDArray[np.uint8]:
        """The network's input for one image.

        Returns:
            uint8 (h, w, 3).

        Raises:
            DataError: if the image cannot be read; the reason is one line.
        """
        out = np.empty((*self.transform.size, 3), np.uint8)
        pixels = source if isinstance(source, np.ndarray) else self.decode(self.read(source), fleeting=True)
        self.fit(pixels, out)
        return out

    def pixels(self, source: ImageSource) -> NDArray[np.uint8]:
        """An image as it is, upright: uint8 (H, W, 3)."""
        return source if isinstance(source, np.ndarray) else self.decode(self.read(source))

    def read(self, source: Path | str | bytes) -> bytes:
        """The encoded bytes of an image.

        Raises:
            DataError: if there is no such file, or it is empty.
        """
        if not isinstance(source, bytes):
            try:
                with open(source, "rb") as file:
                    source = file.read()
            except OSError as error:
                raise DataError(f"the file cannot be read: {error.strerror or error}") from None
        if not source:
            raise DataError("the file is empty (0 bytes)")
        return source

    def decode(self, data: bytes, *, fleeting: bool = False) -> NDArray[np.uint8]:
        """Encoded bytes -> uint8 (H, W, 3), upright where the transform asks for it.

        Args:
            data: The encoded image.
            fleeting: The caller uses the pixels up before this thread decodes again, so
                they may lie in memory that is used again, and be smaller by ``fast_decode``.

        Raises:
            DataError: with the reason of the last decoder that tried.
        """
        form, reasons = sniff(data), []
        for decoder in self.decoders:
            # A plugin's own format is unknown here, so its decoder has to look for itself.
            if form not in decoder.formats and not (form == "unknown" and decoder.formats - FORMATS):
                continue
            try:
                if fleeting and isinstance(decoder, SimplejpegDecoder):
                    shrink = self._shrink if self.fast_decode else None
                    pixels = decoder(data, scratch=self._scratch, shrink=shrink)
                else:
                    pixels = decoder(data)
            except PluginError:
                raise
            except ClsbenchError as error:
                if not isinstance(decoder, SimplejpegDecoder):  # Pillow tries next and says it better
                    reasons.append(error.one_line())
            except Exception as error:  # noqa: BLE001  a plugin's decoder must not end the job
                reasons.append(f"{type(decoder).__name__}: {error}")
            else:
                turn = orientation(data, form) if self.transform.exif else 1
                return pixels if turn == 1 else upright(pixels, turn)
        raise DataError("; ".join(dict.fromkeys(reasons)) or "no decoder reads this image")

    def _shrink(self, width: int, height: int) -> int:
        """The largest of 1, 2, 4, 8 that leaves twice the target's side, lying or standing."""
        scales = []
        for w, h in ((width, height), (height, width)):
            geometry = self.transform.geometry(w, h)
            left, top, right, bottom = geometry.box
            scales += [(bottom - top) / geometry.size[0], (right - left) / geometry.size[1]]
        return max(factor for factor in (1, 2, 4, 8) if factor == 1 or 2 * factor <= min(scales))

    def fit(self, pixels: NDArray[np.uint8], out: NDArray[np.uint8], geometry: Geometry | None = None) -> None:
        """Resize an image into ``out``, uint8 (h, w, 3): :meth:`resize`, then :meth:`place`.

        Args:
            pixels: uint8 (H, W, 3).
            out: Where the result goes, for example a slot of a batch.
            geometry: Another box than the transform's (training's random crops).
        """
        self.place(self.resize(pixels, geometry), out)

    def resize(self, pixels: NDArray[np.uint8], geometry: Geometry | None = None) -> NDArray[np.uint8]:
        """The part of the network's input that shows the image: uint8 (h, w, 3), or (h, w, 1) for grey."""
        height, width = pixels.shape[:2]
        geometry = geometry or self.transform.geometry(width, height)
        resized = resize(pixels, geometry, self.transform.interpolation)
        if self.transform.color == "L":
            return np.asarray(Image.fromarray(resized).convert("L"))[:, :, None]
        return resized

    def place(self, resized: NDArray[np.uint8], out: NDArray[np.uint8]) -> None:
        """Copy a resized image into ``out``, uint8 (h, w, 3), centred on padding if it is smaller."""
        (h, w), (full_h, full_w) = resized.shape[:2], out.shape[:2]
        if (h, w) == (full_h, full_w):
            out[:] = resized
            return
        top, left = (full_h - h) // 2, (full_w - w) // 2
        out[:] = self._padding
        out[top : top + h, left : left + w] = resized
