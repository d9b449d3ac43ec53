"""ImageLoader: the one path from an image to the network's input pixels.

Training's validation, the parity gate, inference and evaluation all call it.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from functools import lru_cache
from typing import NamedTuple, cast

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from clsbench.errors import ClsbenchError, ImageError, PluginError
from clsbench.guard import fault, name_of
from clsbench.images.batch_decoders import BatchDecoder, Decoded
from clsbench.images.batch_loader import BatchLoader
from clsbench.images.clock import NO_CLOCK, Clock
from clsbench.images.decoders import (
    Decoder,
    PillowDecoder,
    Scratch,
    SimplejpegDecoder,
    formats_of,
    jpeg_size,
    orientation,
    upright,
)
from clsbench.images.entries import Content, Entry
from clsbench.images.formats import FORMATS, UNREAD, sniff
from clsbench.images.limits import MAX_PIXELS, PixelBudget
from clsbench.images.pillow import raise_pillows_limit
from clsbench.images.resize import resize
from clsbench.transform import Geometry, ImageTransform

#: What pixels are, for messages.
EXPECTED = "a uint8 array of shape (H, W, 3)"

_UINT8 = np.dtype(np.uint8)

#: Formats that nothing built in reads: the decoders that bring formats of their own are tried on them.
_FOREIGN = frozenset({*UNREAD, "heic", "unknown"})

#: Reasons of the built-in decoders that know less than a plugin's decoder of that format.
_VAGUE = ("not_an_image", "unsupported")


def read(entry: Entry) -> Content:
    """The encoded bytes of an image, or its pixels, uint8 (H, W, 3).

    Raises:
        ImageError: if it cannot be read, is empty, or is neither.
        DataError: as a plugin's entry raised it.
    """
    try:
        content = entry.read()
    except ClsbenchError:
        raise
    except Exception as error:
        raise ImageError("unreadable", f"the image cannot be read: {type(error).__name__}: {error}") from error
    if isinstance(content, bytes):
        if not content:
            raise ImageError("empty", "the file is empty (0 bytes)")
    elif not _are_pixels(content):
        raise ImageError("not_an_image", "not an image", got=_shape(content), expected=f"bytes or {EXPECTED}")
    return content


class _Tried(NamedTuple):
    """A decoder and its keyword arguments: always, and where the caller uses the pixels up at once."""

    decoder: Callable[..., NDArray[np.uint8]]
    features: Mapping[str, object]
    fleeting: Mapping[str, object]


class ImageLoader:
    """Reads, decodes and resizes images by one transform.

    Args:
        transform: The specification to follow.
        decoders: Tried in order on the formats they read, before the built-in ones. The first that is a
            :class:`clsbench.images.batch_decoders.BatchDecoder` gets batches of the formats it is the first to read.
        fast_decode: Decode large JPEGs at a half, quarter or eighth of their size, never
            below twice the target: much faster, and not quite the same pixels.
        max_pixels: Larger images are not decoded; Pillow's limit, 178,956,970, if None. A higher one
            raises Pillow's for the whole process.

    >>> from clsbench.images.entries import PixelsEntry
    >>> loader = ImageLoader(ImageTransform(size=(2, 2)))
    >>> loader(PixelsEntry("a.png", np.zeros((4, 6, 3), np.uint8))).shape
    (2, 2, 3)
    """

    def __init__(
        self,
        transform: ImageTransform,
        decoders: Sequence[Decoder] = (),
        *,
        fast_decode: bool = False,
        max_pixels: int | None = None,
    ) -> None:
        self.transform, self.fast_decode = transform, fast_decode
        self._budget = PixelBudget(max_pixels or MAX_PIXELS)
        if self._budget.max_pixels > MAX_PIXELS:
            raise_pillows_limit(self._budget.max_pixels)
        always = {"admit": self._budget.admit}
        offered = {**always, "scratch": Scratch(), **({"shrink": self._shrink} if fast_decode else {})}
        self._decoders: dict[str, list[_Tried]] = {form: [] for form in FORMATS}
        for decoder in (*decoders, SimplejpegDecoder(), PillowDecoder()):  # Pillow last: it reads everything
            accepts = getattr(decoder, "accepts", ())
            features, fleeting = ({name: few[name] for name in few if name in accepts} for few in (always, offered))
            formats = formats_of(decoder)
            for form in FORMATS:
                # A plugin's own format is unknown here, so its decoder has to look for itself.
                if form in formats or (form in _FOREIGN and formats - FORMATS):
                    self._decoders[form].append(_Tried(decoder, features, fleeting))
        self._padding = np.array(transform.padding, np.uint8)
        self._geometry = lru_cache(64)(transform.geometry)  # small images often have one size
        #: Loads several images at once; None where no decoder takes them.
        self.batches: BatchLoader | None = None
        if several := next((one for one in decoders if callable(getattr(one, "decode_batch", None))), None):
            first = {form for form, tried in self._decoders.items() if tried[0].decoder is several}
            others = [one for one in decoders if one is not several]
            cpu = ImageLoader(transform, others, fast_decode=fast_decode, max_pixels=max_pixels)
            self.batches = BatchLoader(cast(BatchDecoder, several), first, cpu, self._budget.max_pixels)

    @property
    def decoded(self) -> Decoded | None:
        """Who decoded the images of the last job; None where no decoder takes several at once."""
        return self.batches.decoded if self.batches else None

    def __call__(self, entry: Entry) -> NDArray[np.uint8]:
        """The network's input for one image: uint8 (h, w, 3); raises as :meth:`load_into`."""
        out = np.empty((*self.transform.size, 3), np.uint8)
        self.load_into(entry, out)
        return out

    def load_into(self, entry: Entry, slot: NDArray[np.uint8], clock: Clock = NO_CLOCK) -> None:
        """Read, decode and resize an image: the one path for pixels.

        Args:
            entry: The image.
            slot: Where the network's input goes, uint8 (h, w, 3), for example a part of a batch.
            clock: Hears how long each stage took.

        Raises:
            DataError: if the image cannot be read; the reason is one line, and a code if it is an ImageError.
            PluginError: if a decoder returns anything but pixels.
        """
        mark = clock.mark()
        content = self.read(entry)
        mark = clock.lap("read", mark)
        try:
            if isinstance(content, bytes):
                content = self.decode(content, fleeting=True)
                mark = clock.lap("decode", mark)
            resized = self.resize(content)
        finally:
            del content  # before the next large image may come
            self._budget.release()
        mark = clock.lap("resize", mark)
        self.place(resized, slot)
        clock.lap("copy", mark)

    def pixels(self, entry: Entry) -> NDArray[np.uint8]:
        """An image as it is, upright: uint8 (H, W, 3); raises as :meth:`load_into`."""
        content = self.read(entry)
        return self.decode(content) if isinstance(content, bytes) else content

    def read(self, entry: Entry) -> Content:
        """The content of an image; see :func:`read`."""
        return read(entry)

    def decode(self, data: bytes, *, fleeting: bool = False) -> NDArray[np.uint8]:
        """Encoded bytes -> uint8 (H, W, 3), upright where the transform asks for it.

        Args:
            data: The encoded image.
            fleeting: The caller uses the pixels up before this thread decodes again, so
                they may lie in memory that is used again, and be smaller by ``fast_decode``. Until
                then they count as held, and other threads' large images wait.

        Raises:
            ImageError: with the reasons of the decoders that tried.
            PluginError: if a decoder returns anything but pixels.
        """
        try:
            return self._decode(data, fleeting)
        finally:
            if not fleeting:
                self._budget.release()

    def _decode(self, data: bytes, fleeting: bool) -> NDArray[np.uint8]:
        form, failures = sniff(data), []
        for decoder, features, for_now in self._decoders[form]:
            try:
                pixels = decoder(data, **(for_now if fleeting else features))
            except PluginError:
                raise
            except ClsbenchError as error:
                if not getattr(decoder, "defers", False):
                    failures.append(error)
            except Exception as error:  # noqa: BLE001  a plugin's decoder must not end the job
                failures.append(ClsbenchError(f"{name_of(decoder)}: {error}"))
            else:
                if not _are_pixels(pixels):
                    raise fault(
                        decoder, "returned something other than pixels", got=_shape(pixels), expected=EXPECTED,
                        otherwise=PluginError,
                    )  # fmt: skip
                turn = orientation(data, form) if self.transform.exif else 1
                return np.ascontiguousarray(pixels) if turn == 1 else upright(pixels, turn)
        if form in UNREAD and any(isinstance(error, ImageError) for error in failures[:-1]):
            del failures[-1]  # that nothing built in reads it: a plugin knows more
        raise _together(failures)

    def would_shrink(self, entries: Sequence[Entry]) -> bool:
        """Whether ``fast_decode``, which is off, would decode most of these images smaller."""
        if self.fast_decode or not entries:
            return False
        return sum(map(self._is_large_jpeg, entries)) > len(entries) / 2

    def _is_large_jpeg(self, entry: Entry) -> bool:
        try:
            size = jpeg_size(read(entry))
        except ClsbenchError:
            return False
        return size is not None and self._shrink(*size) > 1

    def _shrink(self, width: int, height: int) -> int:
        """The largest of 1, 2, 4, 8 that leaves twice the target's side, lying or standing."""
        scales = []
        for w, h in ((width, height), (height, width)):
            geometry = self._geometry(w, h)
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
        geometry = geometry or self._geometry(width, height)
        resized = resize(pixels, geometry, self.transform.interpolation)
        if self.transform.color == "L":
            return np.asarray(Image.fromarray(resized).convert("L"))[:, :, None]
        return resized

    def place(self, resized: NDArray[np.uint8], out: NDArray[np.uint8]) -> None:
        """Copy a resized image into ``out``, uint8 (h, w, 3), centred on padding if it is smaller."""
        if resized.shape[:2] == out.shape[:2]:
            out[:] = resized
        else:
            self.inner(out, resized.shape[:2])[:] = resized

    def inner(self, out: NDArray[np.uint8], size: tuple[int, ...]) -> NDArray[np.uint8]:
        """The part of ``out``, uint8 (h, w, 3), for an image of ``size``; what is around it becomes padding."""
        (h, w), (full_h, full_w) = size, out.shape[:2]
        if (h, w) == (full_h, full_w):
            return out
        top, left = (full_h - h) // 2, (full_w - w) // 2
        out[:] = self._padding
        return out[top : top + h, left : left + w]


def _together(failures: Sequence[ClsbenchError]) -> ImageError:
    """One error of those of all decoders that tried, the built-in one last; its code is the one that knows most."""
    last = failures[-1]
    if len(failures) == 1 and isinstance(last, ImageError):
        return last
    codes = [error.reason for error in reversed(failures) if isinstance(error, ImageError)]
    reason = next((code for code in codes if code not in _VAGUE), codes[0] if codes else "unreadable")
    return ImageError(reason, "; ".join(dict.fromkeys(error.one_line() for error in failures)))


def _are_pixels(array: object) -> bool:
    return (
        isinstance(array, np.ndarray)
        and array.dtype == _UINT8
        and array.ndim == 3
        and array.shape[2] == 3
        and array.size > 0
    )


def _shape(array: object) -> str:
    return f"{array.dtype} {array.shape}" if isinstance(array, np.ndarray) else type(array).__name__
