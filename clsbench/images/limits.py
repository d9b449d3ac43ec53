"""How large an image may be, and how many large ones are decoded at once: the bound on the memory of all decoders."""

from __future__ import annotations

import ctypes
import threading
from collections import deque
from collections.abc import Callable
from functools import cache
from typing import NoReturn, cast

from clsbench.errors import ImageError
from clsbench.machine import available_cores

#: The most bytes that are read of a file.
MAX_BYTES = 1 << 30

#: The most pixels of an image, by default: Pillow's own hard limit against decompression bombs.
MAX_PIXELS = 2 * 89_478_485

#: Images of up to so many pixels never wait.
FREE_PIXELS = 1 << 24

#: (width, height) of what a decoder is about to decode: waits its turn, or raises ImageError for what is too large.
Admit = Callable[[int, int], None]


def check_pixels(width: int, height: int, most: int = MAX_PIXELS) -> None:
    """Refuse a decompression bomb; an :data:`Admit` that never waits.

    Raises:
        ImageError: ``too_large``.
    """
    if width * height > most:
        raise ImageError(
            "too_large",
            "the image is too large",
            got=f"{width} × {height} = {width * height:,} pixels",
            expected=f"at most {most:,} pixels",
            hint="infer --max-pixels raises the limit",
        )


def too_many_bytes(size: int | None = None) -> NoReturn:
    """Refuse a file of more than :data:`MAX_BYTES`.

    Raises:
        ImageError: ``too_large``.
    """
    got = None if size is None else f"{size:,} bytes"
    raise ImageError("too_large", "the file is too large", got=got, expected=f"at most {MAX_BYTES:,} bytes")


class PixelBudget:
    """Pixels that all threads of a loader may hold at once beyond those of normal images.

    An image of more than :data:`FREE_PIXELS` takes its pixels from the budget, in the order of arrival; one that is
    larger than all of it takes it whole. With 2 cores and the default limit this is one image at a time at the
    limit, or three of 50 megapixels.

    Args:
        max_pixels: The most pixels of an image.

    >>> budget = PixelBudget(100)
    >>> budget.admit(10, 10)
    >>> budget.admit(11, 10)
    Traceback (most recent call last):
    clsbench.errors.ImageError: the image is too large
      got: 11 × 10 = 110 pixels
      expected: at most 100 pixels
      to do: infer --max-pixels raises the limit
    """

    def __init__(self, max_pixels: int = MAX_PIXELS) -> None:
        self.max_pixels = max_pixels
        self.total = self.left = max(MAX_PIXELS, FREE_PIXELS * available_cores())
        self._changed = threading.Condition()
        self._waiting: deque[object] = deque()
        self._mine = _Held()

    def admit(self, width: int, height: int) -> None:
        """Let this thread decode an image; it holds its pixels until :meth:`release`, or its next image.

        Raises:
            ImageError: ``too_large``.
        """
        check_pixels(width, height, self.max_pixels)
        if width * height > FREE_PIXELS:
            self.release()
            self._take(min(width * height, self.total))

    def release(self) -> None:
        """This thread holds no image any more."""
        if self._mine.pixels:
            return_memory()
            with self._changed:
                self.left += self._mine.pixels
                self._mine.pixels = 0
                self._changed.notify_all()

    def _take(self, pixels: int) -> None:
        ticket = object()
        with self._changed:
            self._waiting.append(ticket)
            try:
                self._changed.wait_for(lambda: self._waiting[0] is ticket and self.left >= pixels)
                self.left -= pixels
                self._mine.pixels = pixels
            finally:
                self._waiting.remove(ticket)
                self._changed.notify_all()


def return_memory() -> None:
    """Give freed memory back to the system: glibc keeps that of a large image for each thread that decoded one."""
    if trim := _malloc_trim():
        trim(0)


@cache
def _malloc_trim() -> Callable[[int], int] | None:
    """glibc's; None where there is another C library."""
    try:
        return cast(Callable[[int], int], ctypes.CDLL(None).malloc_trim)
    except (OSError, AttributeError, TypeError):  # TypeError: Windows has no library of the process
        return None


class _Held(threading.local):
    pixels = 0  # of each thread
